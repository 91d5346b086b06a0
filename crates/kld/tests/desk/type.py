"""Types into a program on a pseudo-terminal: type.py STEPS PROGRAM [ARGUMENT…]

STEPS is a JSON list of [text, keys]: when the text has been shown since the last keys, these keys are pressed. All that was shown is printed,
without the terminal's control sequences; the exit code is the program's.
"""

import json
import os
import pty
import re
import select
import sys

steps, command = json.loads(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm"
    os.execv(command[0], command)

shown, seen = "", 0
plain = lambda: re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
while select.select([terminal], [], [], 60)[0]:
    try:
        shown += os.read(terminal, 4096).decode(errors="replace")
    except OSError:  # Linux says so when the program has closed its side.
        break
    if steps and steps[0][0] in plain()[seen:]:
        _, keys = steps.pop(0)
        seen = len(plain())
        os.write(terminal, keys.encode())
print(plain())
if steps:
    os.kill(child, 9)
    sys.exit(f"never shown: {steps[0][0]!r}")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
