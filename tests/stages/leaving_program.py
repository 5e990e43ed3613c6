"""Program of two workers; the second ends before the chief does."""

import os
import time

from distill.distributed.devices import choose_devices

if __name__ == "__main__":
    workers = choose_devices(-1, "auto")
    with workers.exit_barrier():
        workers.wait()
        time.sleep(1)
        if not workers.is_chief:
            os._exit(0)
        time.sleep(2)
    print("the chief has ended", flush=True)
