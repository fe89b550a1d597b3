"""The surroundings of a script: command line, files, terminal, signals.

Read `cli` first: the one parser, `UserError`, and `run_script`, which turns errors into exit statuses.
`options` makes options of a settings dataclass; `output` and `files` check and write files; `progress` is the
one progress bar; `signals` makes Ctrl-C finish the current step; `quiet` imports TensorFlow without its
chatter. Nothing here imports NumPy, Keras or TensorFlow at its top.
"""
