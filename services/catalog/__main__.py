"""`python -m services.catalog`"""

from services.catalog.wiring import main

if __name__ == "__main__":
    main()
