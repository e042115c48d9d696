"""Run the laboratory.

python -m kinema.recipes.claims runs/claims
"""

from kinema.recipes.claims.run import main
from kinema.recipes.program import run_as_program

if __name__ == "__main__":
    run_as_program(main)
