"""What is true: commands, events, states and the rules between them. Pure: no clock, no random, no I/O."""
