"""From text to tf-idf rows."""
