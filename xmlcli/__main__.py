"""`python -m xmlcli` is the command `xmlcli`."""

from xmlcli.cli import main

if __name__ == "__main__":
    main()
