#!/usr/bin/python3
# SPDX-License-Identifier: ISC
#
# modules.py: a small answer made with five modules of the standard library.
import datetime
import hashlib
import html
import json
import os
import urllib.parse

query = urllib.parse.parse_qs(os.environ.get("QUERY_STRING", ""))
name = query.get("name", ["world"])[0]
answer = {
    "greeting": "Hello, " + html.escape(name),
    "digest": hashlib.sha256(name.encode()).hexdigest(),
    "date": datetime.date.today().isoformat(),
}
print("Content-Type: application/json\n")
print(json.dumps(answer))
