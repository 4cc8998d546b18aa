"""Result rows: how they are made, kept and traced to the code that made them."""
