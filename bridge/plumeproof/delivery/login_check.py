"""The login of a profile against a description: security schemes of operations, the token endpoint and its form."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from plumeproof.delivery.assertion import KIND
from plumeproof.delivery.openapi import Node
from plumeproof.delivery.openapi_body import fields_of, says_fields
from plumeproof.delivery.profile import ASSERTION, BASIC, BODY, CERTIFICATE, NO_LOGIN
from plumeproof.delivery.profile_findings import ERROR, WARNING, Findings

FORM = "application/x-www-form-urlencoded"


class LoginCheck:
    """The part of a run that is about saying who we are."""

    def __init__(self, found: Findings) -> None:
        self._found = found

    def token(self) -> None:
        """The token endpoint."""
        profile = self._found.profile
        if profile.auth_kind == NO_LOGIN:
            return
        paths = self._found.root.get("paths")
        if (paths is None or paths.get(profile.token_path) is None) and self._is_token_url():
            self._found.said(
                WARNING, "/paths", f"{profile.token_path} is known as tokenUrl only; its form cannot be checked"
            )
            return
        operation = self._found.operation("/paths/token", profile.token_path, "post")
        if operation is None:
            return
        self._security_of_token(operation)
        schema = self._found.schema_of(operation.get("requestBody"), FORM, "the token request")
        form = self._form()
        if schema is not None:
            for pointer, sentence in self._found.schemas.find_faults(schema, form, "the token request"):
                self._found.said(ERROR, pointer, sentence)
            for name in form:
                if says_fields(schema) and not fields_of(schema, name):
                    text = f"no member {name}, which the profile sends (/auth/kind {profile.auth_kind})"
                    self._found.said(ERROR, schema.pointer, text)
        answer = operation.get("responses", "200")
        said = self._found.schema_of(answer, "application/json", "the token") if answer is not None else None
        if said is None:
            self._found.said(ERROR, operation.pointer, "no JSON answer with status 200; a token is read from it")
            return
        self._found.member(said, "access_token", "string", "the token")
        self._found.member(said, "token_type", "string", "the token")

    def security(self, operation: Node) -> None:
        """What an operation demands that takes our token."""
        profile = self._found.profile

        def fault(scheme: Node, scopes: list[str]) -> str:
            kind = scheme.text("type")
            if profile.auth_kind == NO_LOGIN:
                return "" if kind == "mutualTLS" else f"{kind} is demanded and the profile has no login"
            if kind == "oauth2":
                return self._flow_fault(scheme, scopes)
            is_bearer = kind == "http" and scheme.text("scheme").lower() == "bearer"
            return "" if is_bearer or kind in ("openIdConnect", "mutualTLS") else f"{kind} is not what the profile does"

        taken = self._security(operation, fault)
        if taken is not None and not taken and profile.auth_kind != NO_LOGIN:
            self._found.said(
                WARNING, operation.pointer, f"no login is declared; the profile sends one ({profile.auth_kind})"
            )

    def _security_of_token(self, operation: Node) -> None:
        kind = self._found.profile.auth_kind

        def fault(scheme: Node, _scopes: list[str]) -> str:
            word = f"{scheme.text('type')} {scheme.text('scheme').lower()}".strip()
            can = {BASIC: ("http basic", "mutualTLS"), CERTIFICATE: ("mutualTLS",)}.get(kind, ("mutualTLS",))
            return "" if word in can else f"{word} is demanded at the token endpoint; the profile does {kind}"

        needs = operation.get("security") or self._found.root.get("security")
        words = [
            self._found.root.get("components", "securitySchemes", name)
            for _, alternative in (needs.items() if needs is not None else ())
            for name, _ in alternative.items()
        ]
        basics = [one for one in words if one is not None and one.text("scheme").lower() == "basic"]
        if kind == BASIC and not basics:
            self._found.said(
                ERROR, operation.pointer, f"HTTP Basic is not declared; the profile does {kind} (/auth/kind)"
            )
            return
        self._security(operation, fault)

    def _security(self, operation: Node, fault: Callable[[Node, list[str]], str]) -> list[str] | None:
        """Kinds of the schemes of an alternative that the profile satisfies, rather one without a certificate; None
        where it satisfies none."""
        needs = operation.get("security") or self._found.root.get("security")
        alternatives = [one for _, one in needs.items()] if needs is not None else []
        if not alternatives:
            return []
        faults: list[tuple[str, str]] = []
        taken: list[tuple[list[str], str]] = []
        for alternative in alternatives:
            kinds, wrong = self._try(alternative, fault)
            if not wrong:
                taken.append((kinds, alternative.pointer))
            faults += wrong
        if not taken:
            for pointer, reason in dict.fromkeys(faults):
                self._found.said(ERROR, pointer, f"login: {reason}")
            return None
        kinds, pointer = next((one for one in taken if "mutualTLS" not in one[0]), taken[0])
        if "mutualTLS" in kinds and self._found.profile.auth_kind not in (CERTIFICATE, NO_LOGIN):
            self._found.said(WARNING, pointer, "a client certificate is wanted; name cert_file, key_file")
        return kinds

    def _try(
        self, alternative: Node, fault: Callable[[Node, list[str]], str]
    ) -> tuple[list[str], list[tuple[str, str]]]:
        """Kinds of its schemes, and (place, reason) of those that the profile does not satisfy."""
        kinds: list[str] = []
        wrong: list[tuple[str, str]] = []
        for name, scopes in alternative.value.items() if isinstance(alternative.value, dict) else ():
            scheme = self._found.root.get("components", "securitySchemes", str(name))
            if scheme is None:
                wrong.append((alternative.pointer, f"security scheme {name} is not declared"))
                continue
            kinds.append(f"{scheme.text('type')} {scheme.text('scheme').lower()}".strip())
            reason = fault(scheme, [str(one) for one in scopes] if isinstance(scopes, list) else [])
            if reason:
                wrong.append((scheme.pointer, reason))
        return kinds, wrong

    def _flow_fault(self, scheme: Node, scopes: list[str]) -> str:
        flow = scheme.get("flows", "clientCredentials")
        if flow is None:
            return "oauth2 without the flow clientCredentials"
        wanted = self._found.profile.scope.split()
        offered = flow.value.get("scopes")
        strange = [name for name in wanted if isinstance(offered, dict) and name not in offered]
        if strange:
            return f"scope {' '.join(strange)} of the profile is not declared"
        if wanted and not set(scopes) <= set(wanted):
            missing = " ".join(sorted(set(scopes) - set(wanted)))
            return f"scope {missing} is needed; the profile asks for {self._found.profile.scope}"
        address = flow.text("tokenUrl")
        if not urlsplit(address).path.endswith(self._found.profile.token_path):
            return f"tokenUrl is {address[:100]}, the profile asks {self._found.profile.token_path} (/paths/token)"
        return ""

    def _is_token_url(self) -> bool:
        schemes = self._found.root.get("components", "securitySchemes")
        flows = [one.get("flows", "clientCredentials") for _, one in schemes.items()] if schemes is not None else []
        return any(
            urlsplit(flow.text("tokenUrl")).path.endswith(self._found.profile.token_path)
            for flow in flows
            if flow is not None
        )

    def _form(self) -> dict[str, str]:
        profile = self._found.profile
        form = {"grant_type": "client_credentials"} | ({"scope": profile.scope} if profile.scope else {})
        if profile.auth_kind == BODY:
            form |= {"client_id": "gateway-01", "client_secret": "x" * 43}
        elif profile.auth_kind == ASSERTION:
            form |= {"client_id": "gateway-01", "client_assertion_type": KIND, "client_assertion": "a.b.c"}
        elif profile.auth_kind == CERTIFICATE:
            form |= {"client_id": "gateway-01"}
        return form
