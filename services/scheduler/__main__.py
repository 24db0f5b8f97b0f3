"""`python -m services.scheduler`: the process."""

from infra.bus.process import run_service
from services.scheduler.wiring import build

if __name__ == "__main__":
    run_service("scheduler", build)
