"""The answers of the HTTP API are what its description says: no field more, and none of the required ones missing."""

import unittest

from api_client import API, ApiClient
from deferd_process import ASK, message

KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list,
         "null": type(None)}


def mistakes(document, schema, value, where="answer"):
    """Where the value is not of the schema. Objects whose fields are listed may have no others."""
    if "$ref" in schema:
        target = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return mistakes(document, target, value, where)
    if "anyOf" in schema:
        found = [mistakes(document, one, value, where) for one in schema["anyOf"]]
        return [] if [] in found else found[0]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, KINDS[kind]) and not (kind != "boolean" and isinstance(value, bool))
                         for kind in kinds):
        return [f"{where}: {value!r} is no {kinds}"]
    found = []
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            found += mistakes(document, schema["items"], one, f"{where}[{number}]")
    if isinstance(value, dict):
        found += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, one in value.items():
            if name in schema.get("properties", {}):
                found += mistakes(document, schema["properties"][name], one, f"{where}.{name}")
            elif "additionalProperties" in schema:
                found += mistakes(document, schema["additionalProperties"], one, f"{where}.{name}")
            elif "properties" in schema:
                found.append(f"{where}: {name} is not described")
    return found


class Schemas(ApiClient):
    def rich(self):
        """A deferd with subjects in every state that panels show."""
        deferd = self.deferd(config=API)
        deferd.wait_log("answers are checked")
        deferd.append("".join(message("failed") for _ in range(5)))
        deferd.wait_log("BLOCKED")
        deferd.append(message("delivered", "ann@good.example") + message("deferred", "ann@good.example")
                      + message("failed", "ann@good.example") + message("failed", "<>"))
        for subject in ("hand.example", "ended.example", "login:bob@hand.example", "*.wild.example"):
            self.assertEqual(deferd.ctl("block", subject, "--for", "2h", "--reason", "abuse")[0], 0)
        self.assertEqual(deferd.ctl("unblock", "ended.example", "--reason", "mended")[0], 0)
        self.assertEqual(deferd.ctl("exempt", "add", "free.example", "--for", "2h", "--reason", "pays")[0], 0)
        for _ in range(2000):
            if deferd.json("why", "good.example")["window"]["failed"] and deferd.json("track", "--domain", "good.example"):
                break
        deferd.ask(ASK)
        return deferd

    def answers(self, deferd):
        """(resource of the description, method, answer)"""
        tokens = [self.token(deferd, "all", "--role", "admin"),
                  self.token(deferd, "own", "--role", "admin", "--domains",
                             "bad.example,good.example,hand.example,free.example,ended.example,a.wild.example")]
        ended = [one for one in deferd.json("blocks", "--all") if one["subject"] == "ended.example"][0]["id"]
        subjects = ["bad.example", "good.example", "hand.example", "free.example", "ended.example", "a.wild.example",
                    "login:bob@hand.example", "login:bob@bad.example", ended]
        asked = [("/status", ""), ("/subjects", ""), ("/subjects", "?nodes=true"), ("/blocks", "?all=true"),
                 ("/incidents", "?all=true"), ("/messages", "?id=" + deferd.json("track", "--domain", "bad.example")[0]["id"]),
                 ("/attempts", ""), ("/attempts", "?recipients=true"), ("/attempts", "?limit=1")]
        for below in ("", "/check", "/attempts"):
            asked += [("/subjects/{subject}" + below, subject) for subject in subjects]
        for token in tokens:
            for resource, rest in asked:
                path = resource.replace("{subject}", rest) if "{" in resource else resource + rest
                yield resource, "get", self.ask(deferd, token, "GET", path)
            for act, body in (("unblock", {"reason": "mended"}), ("block", {"for": "1h", "reason": "abuse"}),
                              ("unblock", {})):
                yield (f"/subjects/{{subject}}/{act}", "post",
                       self.ask(deferd, token, "POST", f"/subjects/bad.example/{act}", body))
            yield "/subjects/{subject}", "get", self.ask(deferd, token, "GET", "/subjects/0badcafe-1-99")
            yield ("/subjects/{subject}/unblock", "post",
                   self.ask(deferd, token, "POST", "/subjects/good.example/unblock", {}))

    def test_answers_are_as_described(self):
        deferd = self.rich()
        document = self.ask(deferd, None, "GET", "/openapi.json")[2]
        seen = set()
        for resource, method, (status, kind, answer) in self.answers(deferd):
            responses = document["paths"]["/api/v1" + resource][method]["responses"]
            response = responses.get(str(status), responses["default"])
            while "$ref" in response:
                response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
            schema = response["content"][kind]["schema"]
            self.assertNotEqual(schema, {}, resource)
            self.assertEqual(mistakes(document, schema, answer), [], f"{method} {resource} {status}")
            seen.add((resource, method, status))
        self.assertIn(("/status", "get", 200), seen)
        self.assertIn(("/subjects/{subject}/unblock", "post", 404), seen)

    def test_the_check_finds_what_is_wrong(self):
        schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": ["string", "null"]}}}
        self.assertEqual(mistakes({}, schema, {"a": None}), [])
        self.assertEqual(mistakes({}, schema, {"a": "x", "b": 1}), ["answer: b is not described"])
        self.assertEqual(mistakes({}, schema, {}), ["answer: a is missing"])
        self.assertEqual(mistakes({}, schema, {"a": True}), ["answer.a: True is no ['string', 'null']"])


if __name__ == "__main__":
    unittest.main()
