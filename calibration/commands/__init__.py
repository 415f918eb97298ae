"""The commands of ``calibrate``, a module each; nothing heavy is imported before a command runs."""
