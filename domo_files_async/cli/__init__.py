"""The command line, `domo-files`: one file a group of commands."""
