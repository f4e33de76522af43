"""The child of a trial that neither ends nor uses time."""

import time

if __name__ == "__main__":
    time.sleep(600)
