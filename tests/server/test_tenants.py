import hashlib

import pytest

from vr.core.errors import ConfigError
from vr.server.addresses import ANYWHERE
from vr.server.config import ServerConfig
from vr.server.failures import Failure
from vr.server.methods import Methods
from vr.server.tenants import Tenants


def tenants_of(tmp_path, text: str) -> Tenants:
    file = tmp_path / "tenants.toml"
    file.write_text(text)
    return Tenants.of(ServerConfig(tenants=str(file)))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


TWO = f"""
[acme]
tokens = ["{digest("a-token")}", "{digest("its successor")}"]
roots = ["/data/acme"]
[other]
certificates = ["trainer.other"]
buckets = ["s3://other/x"]
"""


def test_a_token_names_its_tenant(tmp_path):
    known = tenants_of(tmp_path, TWO)
    assert known.find("Bearer a-token", ()).name == "acme"
    assert known.find("bearer its successor", ()).name == "acme"
    assert known.find("Bearer a-token", ()).grant.roots == ("/data/acme",)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic a-token", "a-token", f"Bearer {digest('a-token')}"]
)
def test_nothing_else_does(tmp_path, header):
    assert tenants_of(tmp_path, TWO).find(header, ()) is None


def test_a_certificate_names_its_tenant(tmp_path):
    known = tenants_of(tmp_path, TWO)
    assert known.find(None, ["trainer.other"]).name == "other"
    assert known.find(None, ["somebody.else"]) is None


@pytest.mark.parametrize("line", [f'tokens = ["{digest("a-token")}"]', 'certificates = ["trainer.other"]'])
def test_one_that_two_tenants_hold_is_refused(tmp_path, line):
    with pytest.raises(ConfigError, match="too"):
        tenants_of(tmp_path, TWO + f"[third]\n{line}\n")


@pytest.mark.parametrize(
    ("names", "tenant"),
    [
        ({"x509_subject_alternative_name": [b"trainer.other"], "x509_common_name": [b"nobody"]}, "other"),
        ({"x509_common_name": [b"trainer.other"]}, "other"),
        ({"x509_subject_alternative_name": [b"nobody"], "x509_common_name": [b"trainer.other"]}, None),
    ],
)
def test_a_common_name_counts_only_by_itself(tmp_path, names, tenant):
    class Context:
        invocation_metadata = staticmethod(lambda: ())
        auth_context = staticmethod(lambda: names)

    methods = Methods(ServerConfig(), tenants_of(tmp_path, TWO), None, None)
    if tenant is None:
        with pytest.raises(Failure):
            methods._tenant(Context())
    else:
        assert methods._tenant(Context()).name == tenant


def test_loopback_alone_may_read_everything():
    assert Tenants.of(ServerConfig()).find(None, ()).grant == ANYWHERE
    assert Tenants.of(ServerConfig(host="0.0.0.0", insecure=True)).find(None, ()).grant.roots == ()
    assert Tenants.of(ServerConfig(roots=["/data"])).find(None, ()).grant.buckets == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no tenant"),
        ("nonsense", "cannot be read"),
        ("[acme]\ntokens=['plain']", "no SHA-256"),
        ("[acme]\ntoken=['x']", "token is not known"),
        ("[acme]\nroots='/data'", "list of texts"),
        ("[acme]\nroots=['data']", "not absolute"),
        ("[acme]\nbuckets=['http://x']", "neither s3"),
        ("['../x']\n", "is no tenant"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        tenants_of(tmp_path, text)
    # A token that somebody wrote in plain must not end in a log.
    assert "plain" not in str(pytest.raises(ConfigError, tenants_of, tmp_path, "[a]\ntokens=['plain']").value)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::"])
def test_beyond_loopback_wants_tls_and_tenants(host):
    with pytest.raises(ConfigError, match=r"no TLS.*insecure=true"):
        ServerConfig(host=host).refuse_exposure()
    ServerConfig(host=host, insecure=True).refuse_exposure()
    ServerConfig(host="localhost").refuse_exposure()


def test_tls_without_tenants_is_not_enough(tmp_path):
    for name in ("c", "k"):
        (tmp_path / name).write_text("")
    config = ServerConfig(host="0.0.0.0", certificate=str(tmp_path / "c"), private_key=str(tmp_path / "k"))
    with pytest.raises(ConfigError, match="anybody may ask"):
        config.refuse_exposure()
    config.client_ca = str(tmp_path / "c")
    with pytest.raises(ConfigError, match="anybody may ask"):
        config.refuse_exposure()


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 70_000},
        {"queue": -1},
        {"tenant_calls": 0},
        {"certificate": "x"},
        {"max_deadline_s": 0},
        {"client_ca": "x"},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"server\."):
        ServerConfig(**settings)
