"""`python -m services.workers`."""

from services.workers.wiring import main

if __name__ == "__main__":
    main()
