"""Run the laboratory.

python -m kinema.recipes.claims runs/claims
"""

import typer

from kinema.recipes.claims.run import main

if __name__ == "__main__":
    typer.run(main)
