"""`python -m vlm_trainer` and `accelerate launch -m vlm_trainer` are the command line."""

from vlm_trainer.cli import main

if __name__ == "__main__":
    main()
