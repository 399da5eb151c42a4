"""Schema-driven fuzzing: schemathesis makes requests out of the OpenAPI document, good ones and bad ones, and looks at each answer.

On a file and on PostgreSQL; as an administrator, as a user and as a guest, each with the operations that are for them; and with keys of
the wrong kind. What is in
the service is named to the generator, so that its requests meet it. SCHEMATHESIS_EXAMPLES is how many requests are drawn for each
operation (10), SCHEMATHESIS_SEED what they are drawn from (1).
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from openapi_spec_validator import validate

from postgres import Postgres
from service import Service

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "10")
SCHEMATHESIS = str(pathlib.Path(sys.executable).with_name("schemathesis"))
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")

# Left out: `positive_data_acceptance` is ours (checks.py), which knows the rules between fields.
LEFT_OUT = "positive_data_acceptance"


# What no request of the fuzzer can succeed in: Stripe's signature is missing, there is no such file, the user has bought before.
NEVER_DONE = {"POST /v1/payment.stripe/webhook", "POST /api/stripe/webhook", "GET /assets/{name}", "POST /v1/balance/referral/claim"}


def choices(name, schema, known):
    """What a field of this name and schema may say to name something that is there."""
    if schema.get("type") == "integer":
        return [1, 2] if name == "payment_id" else []
    values = [*known.get(name, []), *(["1", "2"] if name == "payment_id" else [])]
    return [value for value in values if re.search(schema.get("pattern", ""), value)]


def name_what_is_there(document, known):
    """The same document, in which every second value of a field that names something does name something."""

    def patched(name, schema):
        if "type" not in schema or schema["type"] not in ["string", "integer", ["string", "null"]]:
            return schema
        there = choices(name, schema, known)
        return {"anyOf": [{"enum": there}, schema]} if there else schema

    def walk(value):
        if isinstance(value, dict):
            properties = value.get("properties")
            if value.get("type") == "object" and properties:
                value["properties"] = {name: patched(name, schema) for name, schema in properties.items()}
            value = value.values()
        if not isinstance(value, str):
            for inner in value or ():
                if isinstance(inner, (dict, list)):
                    walk(inner)

    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = patched(parameter["name"], parameter["schema"])
                if parameter["name"] == "Idempotency-Key" and parameter["required"]:
                    # It may be in the body instead, so that leaving it out here would be no mistake.
                    schema = operation["requestBody"]["content"]["application/json"]["schema"]
                    schema["properties"].pop("idempotency_key")
            if "requestBody" in operation:
                walk(operation["requestBody"])
    return document


def only_for(document, role):
    """The operations of a role: `admin`, `user` or `guest`."""
    schemes = {"admin": {"adminKey"}, "user": {"userKey", "userToken"}}

    def fits(operation):
        names = {name for way in operation["security"] for name in way}
        return not names if role == "guest" else bool(names & schemes[role])

    if role == "user":
        # Where both may ask, `user_id` is for administrators.
        for operation in (operation for operations in document["paths"].values() for operation in operations.values()):
            if len(operation["security"]) > 2:
                parameters = operation.get("parameters", [])
                operation["parameters"] = [parameter for parameter in parameters if parameter["name"] != "user_id"]
                content = operation.get("requestBody", {}).get("content", {})
                content.get("application/json", {}).get("schema", {}).get("properties", {}).pop("user_id", None)
    paths = {path: {method: operation for method, operation in operations.items() if fits(operation)}
             for path, operations in document["paths"].items()}
    return {**document, "paths": {path: operations for path, operations in paths.items() if operations}}


class Api:
    """The same on each database."""

    @classmethod
    def settings(cls):
        """What the service is set up with besides."""
        return {}

    @classmethod
    def setUpClass(cls):
        cls.service = Service(cls.settings())
        cls.addClassCleanup(cls.stop)
        cls.known = cls.service.fill()

    @classmethod
    def stop(cls):
        code = cls.service.stop()
        assert code == 0, f"the service ended with {code}"

    def document(self):
        return self.service.call("GET", "/v1/openapi.json")

    def give_examples(self, document, role):
        """Begins with requests that succeed, whatever the drawn ones meet."""
        named = role == "admin"
        for name, body in self.service.examples(self.known).items():
            method, path = name.split(" ")
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is None:
                continue
            content = operation["requestBody"]["content"]["application/json"]
            is_about_somebody = "user_id" in content["schema"]["properties"] and len(operation["security"]) > 1
            if named and is_about_somebody:
                body = {"user_id": self.service.told["user_id"], **body}
            content["examples"] = {"there": {"value": body}}

    def fuzz(self, role, token):
        self.known["card_id"] = self.service.save_cards()
        document = only_for(name_what_is_there(self.document(), self.known), role)
        self.give_examples(document, role)
        self.assertGreater(len(document["paths"]), 5)
        with tempfile.TemporaryDirectory(prefix="bursar-schemathesis-") as folder:
            path = pathlib.Path(folder, "openapi.json")
            path.write_text(json.dumps(document), encoding="utf-8")
            command = [
                SCHEMATHESIS, "run", str(path), "--url", self.service.base, "--no-color", "--checks", "all",
                "--exclude-checks", LEFT_OUT, "--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure",
                "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
            ]
            if token:
                command += ["--header", f"Authorization: Bearer {token}"]
            seen = pathlib.Path(folder, "seen.json")
            environment = {
                **os.environ, "SCHEMATHESIS_HOOKS": "checks", "PYTHONPATH": str(HERE), "NO_PROXY": "127.0.0.1", "API_SEEN": str(seen)}
            ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
            print(f"--- {type(self).__name__}, {role}\n{ran.stdout}")
            self.assertEqual(ran.returncode, 0, f"{ran.stdout}\n{ran.stderr}\nthe server said:\n{self.service.said()}")
            done = {operation for operation, status, _ in json.loads(seen.read_text()) if status < 300}
        every = {f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations}
        self.assertEqual(every - done - NEVER_DONE, set(), "no request for these succeeded")

    def test_the_document_is_one_of_openapi(self):
        validate(self.document())

    def test_as_an_administrator(self):
        self.fuzz("admin", self.service.told["admin_key"])

    def test_as_a_user(self):
        self.fuzz("user", self.service.told["user_token"])

    def test_as_a_guest(self):
        self.fuzz("guest", None)


class OnAFile(Api, unittest.TestCase):
    pass


class OnPostgres(Api, unittest.TestCase):
    @classmethod
    def settings(cls):
        server = Postgres()
        cls.addClassCleanup(server.stop)
        return {"DATABASE_URL": server.url}


if __name__ == "__main__":
    unittest.main()
