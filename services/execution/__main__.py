"""`python -m services.execution`."""

from services.execution.wiring import main

if __name__ == "__main__":
    main()
