"""A challenger in shadow: it scores what the champion has answered, off the answers' path and in a process of its own."""
