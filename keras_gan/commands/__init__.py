"""The subcommands of the console command `keras-gan`.

Each module defines one command by two functions: `define_flags(values)`, and
`main(values)`, which imports what needs TensorFlow. `console` runs them. No other
folder prints or knows a flag.
"""
