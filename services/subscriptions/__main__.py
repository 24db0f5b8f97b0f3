"""`python -m services.subscriptions`: the process."""

from services.subscriptions.wiring import main

if __name__ == "__main__":
    main()
