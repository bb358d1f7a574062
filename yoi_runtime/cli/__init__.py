"""The command line, ``yoi-runtime``. Needs the extra ``cli``; its modules alone know Typer and Rich."""
