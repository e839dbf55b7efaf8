"""Waits until a server answers with 200. Usage: answers.py URL SECONDS"""

import sys
import time
import urllib.request


def main():
    url, seconds = sys.argv[1], float(sys.argv[2])
    begun, last = time.monotonic(), None
    while time.monotonic() - begun < seconds:
        try:
            with urllib.request.urlopen(url, timeout=10):
                print(f"   up after {time.monotonic() - begun:.0f} s")
                return
        except OSError as error:  # it is not up yet
            last = error
            time.sleep(1)
    sys.exit(f"{url} does not answer: {last}")


main()
