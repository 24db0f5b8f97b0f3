"""`python -m services.triggers`: the process."""

from infra.bus.process import run_service
from services.triggers.wiring import build

if __name__ == "__main__":
    run_service("triggers", build)
