"""A child that does what its input says, as a file might: spins, sleeps, grows, writes, or tells what it has inherited."""

import os
import sys
import time

from churn_store.releases.child import confine

if __name__ == "__main__":
    confine(sys.argv[1:])
    asked = sys.stdin.read()
    if asked == "tell":
        handles = sorted(int(one) for one in os.listdir("/proc/self/fd"))
        print(os.getcwd(), handles[:3], len(handles), ",".join(sorted(os.environ)))
    while asked == "spin":
        pass
    if asked == "sleep":
        time.sleep(600)
    if asked == "grow":
        bytearray(2**31)
    while asked == "write":
        os.write(1, b"x" * 10_000)
