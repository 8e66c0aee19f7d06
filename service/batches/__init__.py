"""Many prompts at once: a batch is a folder, traced in this process or over Ray. Knows no user interface."""
