"""app.py -- an origin of the demo: a small application. Notes, in memory, as JSON over HTTP/1.1.

GET /notes      all of them
POST /notes     one more: the body's text
GET anything    what came: method, path, header fields
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

notes = []


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/notes":
            self.answer(200, notes)
        else:
            came = {"origin": "app", "method": self.command, "path": self.path, "fields": dict(self.headers)}
            self.answer(200, came)

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        if self.path != "/notes":
            self.answer(404, {"error": "only /notes takes something"})
        else:
            notes.append(text)
            self.answer(201, {"notes": len(notes)})

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("0.0.0.0", 8080), App).serve_forever()
