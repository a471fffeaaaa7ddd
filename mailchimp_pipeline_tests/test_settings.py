"""Settings from the environment, and keys generated for a machine."""

import stat
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from pydantic import ValidationError

from mailchimp_pipeline.embedded.local_state import keep_sandbox, local_state
from mailchimp_pipeline.settings import PROJECT_ROOT, VARIABLES, Settings, SettingsError

A_SECRET = "a-token-secret-of-more-than-32-characters"
DATABASE_URL = "MAILCHIMP_PIPELINE_DATABASE_URL"
CORS_ORIGINS = "MAILCHIMP_PIPELINE_CORS_ORIGINS"
ENCRYPTION_KEYS = "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS"
PUBLIC_URL = "MAILCHIMP_PIPELINE_PUBLIC_URL"
TOKEN_SECRET = "MAILCHIMP_PIPELINE_TOKEN_SECRET"


def settings_at(home: Path, **variables: str) -> Settings:
    return Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(home), **variables})


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def report(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin
    process.stdin.write(text + "\n")
    process.stdin.flush()


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert settings.home == PROJECT_ROOT / ".local"
    assert (settings.api_port, settings.ui_port, settings.sandbox_port) == (8000, 3000, 8900)


def test_a_variable_that_is_empty_counts_as_not_set() -> None:
    assert Settings.from_environment(dict.fromkeys(VARIABLES.values(), " ")) == Settings()


def test_what_was_set_can_be_told_from_a_default() -> None:
    root = Settings().api_root

    assert "api_root" in Settings.from_environment({"MAILCHIMP_API_ROOT": root}).model_fields_set
    assert "api_root" not in Settings.from_environment({}).model_fields_set


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_each_database_url_gets_the_driver_of_those_who_use_it(scheme: str) -> None:
    url = f"{scheme}://pipeline:p%40ss@db/pipeline?sslmode=require"

    settings = Settings.from_environment({DATABASE_URL: url, "DAGSTER_POSTGRES_URL": url})

    assert settings.database_url
    assert settings.dagster_postgres_url
    assert (
        settings.database_url.get_secret_value() == "postgresql+psycopg://pipeline:p%40ss@db/pipeline?sslmode=require"
    )
    assert settings.dagster_postgres_url.get_secret_value().startswith("postgresql+psycopg2://pipeline:p%40ss@db/")


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        (DATABASE_URL, "mysql://root:sesame@db/x", "must be the URL of a PostgreSQL database"),
        (DATABASE_URL, "sesame", "For example: postgresql://"),
        (TOKEN_SECRET, "sesame", "at least 32 characters; `openssl rand -base64 32` makes one"),
        (TOKEN_SECRET, "-----BEGIN PUBLIC KEY-----\nsesame\n-----END PUBLIC KEY-----", "not a key pair"),
        (TOKEN_SECRET, "---- BEGIN SSH2 PUBLIC KEY ----\nsesame", "not a key pair"),
        (TOKEN_SECRET, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 sesame", "publish the keys"),
        (TOKEN_SECRET, "sk-ssh-ed25519@openssh.com AAAAGnNr sesame", "publish the keys"),
        ("MAILCHIMP_PIPELINE_JWKS_URL", "http://login.example.com/sesame", "must be an https:// URL"),
        (PUBLIC_URL, "http://sesame.example.com", "must be an https:// URL"),
        (PUBLIC_URL, "https://sesame@example.com", "without user, query or fragment"),
        (PUBLIC_URL, "https://example.com/?sesame=1", "without user, query or fragment"),
        ("MAILCHIMP_API_ROOT", "http://sesame.example.com/3.0", "must begin with https://"),
        ("MAILCHIMP_API_ROOT", "sesame", "it is not a URL"),
        (CORS_ORIGINS, "https://a.org,https://b.org/sesame", "must be origins"),
        ("MAILCHIMP_PIPELINE_API_PORT", "sesame", "valid integer"),
        ("MAILCHIMP_PIPELINE_API_PORT", "65536", "less than or equal to 65535"),
        ("MAILCHIMP_PIPELINE_DAGSTER_RUN_RETENTION_DAYS", "6", "greater than or equal to 7"),
        ("MAILCHIMP_PIPELINE_SYNC_REQUEST_RETENTION_DAYS", "0", "greater than or equal to 7"),
        ("MAILCHIMP_PIPELINE_CAMPAIGN_STATS_RETENTION_DAYS", "-1", "greater than or equal to 7"),
    ],
)
def test_a_bad_value_is_named_with_what_to_write_but_not_shown(variable: str, value: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: value})

    assert f"- {variable}: " in str(caught.value)
    assert advice in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"MAILCHIMP_PIPELINE_API_PORT": "0", TOKEN_SECRET: "short"})

    assert len(str(caught.value).splitlines()) == 3


def test_tokens_are_verified_in_one_way() -> None:
    with pytest.raises(SettingsError, match="exclude each other: set one"):
        Settings.from_environment({TOKEN_SECRET: A_SECRET, "MAILCHIMP_PIPELINE_JWKS_URL": "https://login.example.com"})


@pytest.mark.parametrize("url", ["https://pipeline.example.com/mail", "http://127.0.0.1:8000"])
def test_a_public_address_is_kept_without_the_slash_at_its_end(url: str) -> None:
    assert Settings.from_environment({PUBLIC_URL: f"{url}/"}).public_url == url


def test_a_sandbox_may_speak_plain_http() -> None:
    settings = Settings.from_environment({"MAILCHIMP_API_ROOT": "http://127.0.0.1:8900/3.0/"})

    assert settings.api_root == "http://127.0.0.1:8900/3.0"


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    secret_ones = [DATABASE_URL, "DAGSTER_POSTGRES_URL", ENCRYPTION_KEYS, TOKEN_SECRET, "MAILCHIMP_PIPELINE_SOURCE"]

    settings = Settings.from_environment(dict.fromkeys(secret_ones, f"postgresql://u:{A_SECRET}@db/x"))

    assert A_SECRET not in f"{settings!r} {settings}"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().api_port = 1


def test_a_child_process_gets_equal_settings(tmp_path: Path) -> None:
    variables = {
        DATABASE_URL: "postgres://u:p@db/x",
        ENCRYPTION_KEYS: "1:abc",
        CORS_ORIGINS: "https://a.org,https://b.org",
    }

    settings = settings_at(tmp_path, **variables)

    assert Settings.from_environment(settings.environment()) == settings
    assert "MAILCHIMP_API_ROOT" not in settings.environment()


def test_the_environment_goes_before_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAILCHIMP_PIPELINE_API_PORT=8001\nMAILCHIMP_PIPELINE_UI_PORT=3001\n")
    program = (
        "from mailchimp_pipeline.settings import Settings as S; s = S.from_environment(); print(s.api_port, s.ui_port)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"MAILCHIMP_PIPELINE_API_PORT": "8002", "PYTHONPATH": str(PROJECT_ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert printed == "8002 3001\n"


def test_a_machine_makes_its_keys_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"

    first, second = local_state(settings_at(home)), local_state(settings_at(home))

    assert first == second
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())] == [0o700, 0o600, 0o600]
    assert first.encryption_keys != local_state(settings_at(tmp_path / "other")).encryption_keys


def test_directories_made_on_the_way_are_for_the_owner_alone_too(tmp_path: Path) -> None:
    home = tmp_path / "one" / "two"

    local_state(settings_at(home))

    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, home.parent)] == [0o700, 0o700]


def test_what_is_set_is_not_made(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, **{ENCRYPTION_KEYS: "1:abc", TOKEN_SECRET: A_SECRET})

    assert local_state(settings) == settings
    assert list(tmp_path.iterdir()) == []


def test_no_token_secret_is_made_where_tokens_come_from_an_identity_provider(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, MAILCHIMP_PIPELINE_JWKS_URL="https://login.example.com/jwks.json")

    assert local_state(settings).token_secret is None


SANDBOX = "http://127.0.0.1:8900/3.0"


def test_where_the_sandbox_is_is_known_while_nothing_else_is_set(tmp_path: Path) -> None:
    keep_sandbox(tmp_path, "http://127.0.0.1:1/3.0", None)
    keep_sandbox(tmp_path, SANDBOX, tmp_path / "sample")

    found = local_state(settings_at(tmp_path)).environment()

    assert (found["MAILCHIMP_API_ROOT"], found["MAILCHIMP_PIPELINE_SOURCE"]) == (SANDBOX, str(tmp_path / "sample"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_what_is_set_goes_before_the_sandbox_and_sample_people_to_no_other_mailchimp(tmp_path: Path) -> None:
    keep_sandbox(tmp_path, SANDBOX, tmp_path / "sample")
    own_source = local_state(settings_at(tmp_path, MAILCHIMP_PIPELINE_SOURCE="/hr"))
    own_root = local_state(settings_at(tmp_path, MAILCHIMP_API_ROOT="https://mailchimp.example.com/3.0"))
    own_database = settings_at(tmp_path, **{DATABASE_URL: "postgresql://db/pipeline", ENCRYPTION_KEYS: "1:abc"})

    assert own_source.source
    assert (own_source.source.get_secret_value(), own_source.api_root) == ("/hr", SANDBOX)
    assert (own_root.source, own_root.api_root) == (None, "https://mailchimp.example.com/3.0")
    assert local_state(own_database) == own_database


def test_what_is_kept_of_the_sandbox_and_is_damaged_is_named(tmp_path: Path) -> None:
    for text in ("", "7", "{"):
        (tmp_path / "sandbox.json").write_text(text)
        with pytest.raises(SettingsError, match=r"sandbox\.json is damaged. Remove it"):
            local_state(settings_at(tmp_path))


def test_processes_that_start_at_once_agree_on_the_keys(tmp_path: Path) -> None:
    program = (
        "from mailchimp_pipeline.embedded.local_state import local_state\n"
        "from mailchimp_pipeline.settings import Settings\n"
        "settings = Settings.from_environment()\n"
        "print('ready', flush=True); input()\n"
        "print(local_state(settings).environment())"
    )
    environment = {"MAILCHIMP_PIPELINE_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT_ROOT)}
    racers = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(3)
    ]
    assert [line_of(racer) for racer in racers] == ["ready\n"] * 3

    for racer in racers:
        report(racer, "go")

    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encryption-keys", "token-secret"]


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    local_state(settings_at(tmp_path))

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_damaged_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "token-secret").write_text("")

    with pytest.raises(SettingsError, match="token-secret is damaged"):
        local_state(settings_at(tmp_path))
    assert (tmp_path / "token-secret").read_text() == ""


def test_next_to_a_database_of_ones_own_no_key_is_made(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, **{DATABASE_URL: "postgresql://db/x"})

    with pytest.raises(SettingsError, match="openssl rand -base64 32"):
        local_state(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_is_one_by_its_url() -> None:
    settings = Settings.from_environment({"MAILCHIMP_PROXY": "http://user:pa55word@proxy.example.com:3128"})
    assert settings.proxy == "http://user:pa55word@proxy.example.com:3128"
    assert "pa55word" not in repr(settings)


@pytest.mark.parametrize("text", ["proxy.example.com:3128", "socks5://proxy.example.com", "http://proxy/path?q"])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="MAILCHIMP_PROXY"):
        Settings.from_environment({"MAILCHIMP_PROXY": text})
