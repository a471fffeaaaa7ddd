"""The settings, read once from the environment into a frozen object.

`.env.example` lists the same variables; a test compares both.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self, cast
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mailchimp_pipeline.connections import API_ROOT, UnusableApiRoot, api_root
from mailchimp_pipeline.errors import PermanentError

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent

PROJECT_ROOT = _PACKAGE_PARENT if (_PACKAGE_PARENT / "pyproject.toml").exists() else Path.cwd()
"""The directory of the checkout, or the working directory if the package is installed without one."""

TOKEN_SECRET_LENGTH = 32
"""The minimum number of characters of a token secret. HS256 needs a key as long as its hash; a shorter one can be
guessed."""


class SettingsError(PermanentError):
    """The environment is invalid. The error names the variables and valid values, but not the invalid values."""


def _invalid(problem: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{problem}", {"problem": problem})


def _database_url(driver: str) -> AfterValidator:
    def normalised(url: SecretStr) -> SecretStr:
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme.partition("+")[0] not in {"postgres", "postgresql"}:
            raise _invalid("must be the URL of a PostgreSQL database")
        return SecretStr(f"postgresql+{driver}://{rest}")

    return AfterValidator(normalised)


def _token_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < TOKEN_SECRET_LENGTH:
        raise _invalid(f"must have at least {TOKEN_SECRET_LENGTH} characters; `openssl rand -base64 32` makes one")
    # With a public key as secret, anybody who has the public key could sign tokens.
    if re.search(r"-- ?BEGIN |\b(ssh|ecdsa|sk)-[\w@.-]+ AAAA", secret.get_secret_value()):
        raise _invalid("must be a secret, not a key pair or certificate: publish the keys, and set the URL of the JWKS")
    return secret


def _is_guarded(url: str) -> bool:
    """Return whether the URL is https, or http on this machine."""
    parts = urlsplit(url)
    on_this_machine = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return bool(parts.hostname) and (parts.scheme == "https" or on_this_machine)


def _jwks_url(url: str) -> str:
    if not _is_guarded(url):
        raise _invalid("must be an https:// URL: whoever changes its answer on the way can sign tokens")
    return url


def _public_url(url: str) -> str:
    if not _is_guarded(url) or not re.fullmatch(r"[A-Za-z0-9:/.\-_~%\[\]]+", url):
        raise _invalid("must be an https:// URL without user, query or fragment: what comes there is about people")
    return url.rstrip("/")


def _api_root(template: str) -> str:
    try:
        api_root(template, "us1")
    except UnusableApiRoot as error:
        raise _invalid(str(error).removesuffix(".")) from None
    return template.rstrip("/")


def _proxy(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise _invalid("must be the URL of a proxy: http:// or https://, its host and port, and nothing after them")
    return url


def _separated(origins: object) -> object:
    return [origin.strip() for origin in origins.split(",")] if isinstance(origins, str) else origins


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", text):
        raise _invalid("must be origins as browsers send them, with commas between: scheme and host, nothing after it")
    return text.lower()


def _home(path: Path) -> Path:
    return PROJECT_ROOT / path.expanduser()


_Origin = Annotated[str, AfterValidator(_origin)]
_Port = Annotated[int, Field(ge=1, le=65535)]
_RetentionDays = Annotated[int, Field(ge=7, le=36500)]


class Settings(BaseModel):
    """All settings. `Settings()` has the defaults; `from_environment` reads the environment."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr, _database_url("psycopg")] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_DATABASE_URL",
        description="The pipeline's PostgreSQL database. If not set: an embedded one in MAILCHIMP_PIPELINE_HOME.",
        examples=["postgresql://pipeline:password@db.example.com:5432/mailchimp_pipeline"],
    )
    dagster_postgres_url: Annotated[SecretStr, _database_url("psycopg2")] | None = Field(
        default=None,
        validation_alias="DAGSTER_POSTGRES_URL",
        description="The PostgreSQL database of Dagster's own storage. If not set: an embedded one.",
        examples=["postgresql://dagster:password@db.example.com:5432/dagster"],
    )
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="MAILCHIMP_PIPELINE_ENCRYPTION_KEYS",
        description="Keys for stored secrets, as id:base64,id:base64. The first one encrypts, all of them decrypt.",
        examples=["2026-11:$(openssl rand -base64 32)"],
    )
    token_secret: Annotated[SecretStr, AfterValidator(_token_secret)] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_TOKEN_SECRET",
        description="Secret that signs the API's bearer tokens (HS256). Set this or MAILCHIMP_PIPELINE_JWKS_URL.",
        examples=["$(openssl rand -base64 32)"],
    )
    jwks_url: Annotated[str, AfterValidator(_jwks_url)] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_JWKS_URL",
        description="URL of the public keys that verify your identity provider's tokens (RS256, ES256).",
        examples=["https://login.example.com/.well-known/jwks.json"],
    )
    token_issuer: str | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_TOKEN_ISSUER",
        description="The issuer (`iss`) that bearer tokens must have. If not set: any issuer with the right key.",
        examples=["https://login.example.com/"],
    )
    cors_origins: Annotated[tuple[_Origin, ...], BeforeValidator(_separated)] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_CORS_ORIGINS",
        description="Comma-separated origins whose pages may call the API from a browser. If not set: none.",
        examples=["https://dashboard.example.com"],
    )
    source: SecretStr | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_SOURCE",
        description="Where employees and vendors come from: a directory of CSV or Parquet files, or an SQLAlchemy URL.",
        examples=["postgresql+psycopg://reader:password@hr.example.com/hr"],
    )
    employees: str | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_EMPLOYEES",
        description="If the source is a database: the table of employees, or a query. Default: the table employees.",
        examples=["SELECT * FROM staff WHERE left_on IS NULL"],
    )
    vendors: str | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_VENDORS",
        description="If the source is a database: the table of vendors, or a query. Default: the table vendors.",
        examples=["procurement.suppliers"],
    )
    api_root: Annotated[str, AfterValidator(_api_root)] = Field(
        default=API_ROOT,
        validation_alias="MAILCHIMP_API_ROOT",
        description="Address of Mailchimp's Marketing API. Set it to the sandbox's address to use the sandbox.",
        examples=["http://127.0.0.1:8900/3.0"],
    )
    mailchimp_proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PROXY",
        description="A proxy for calls to Mailchimp. Variables of other programs, such as HTTPS_PROXY, are ignored.",
        examples=["http://proxy.example.com:3128"],
    )
    shared_accounts: bool = Field(
        default=False,
        validation_alias="MAILCHIMP_PIPELINE_SHARED_ACCOUNTS",
        description="Whether organisations may share a Mailchimp account: true or false. An audience is never shared.",
        examples=["true"],
    )
    public_url: Annotated[str, AfterValidator(_public_url)] | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_PUBLIC_URL",
        description="The URL at which Mailchimp can reach the API. If not set: no webhooks are created.",
        examples=["https://pipeline.example.com"],
    )
    campaign_settle_days: Annotated[int, Field(ge=0, le=365)] = Field(
        default=0,
        validation_alias="MAILCHIMP_PIPELINE_CAMPAIGN_SETTLE_DAYS",
        description="For how many days a campaign is refreshed after it was sent. 0 stops at its first final figures.",
    )
    dagster_run_retention_days: _RetentionDays = Field(
        default=90,
        validation_alias="MAILCHIMP_PIPELINE_DAGSTER_RUN_RETENTION_DAYS",
        description="For how many days Dagster's finished runs are kept, with their events and logs. At least 7.",
    )
    sync_request_retention_days: _RetentionDays = Field(
        default=90,
        validation_alias="MAILCHIMP_PIPELINE_SYNC_REQUEST_RETENTION_DAYS",
        description="For how many days requests for a sync are kept after they ended. At least 7.",
    )
    campaign_stats_retention_days: _RetentionDays = Field(
        default=730,
        validation_alias="MAILCHIMP_PIPELINE_CAMPAIGN_STATS_RETENTION_DAYS",
        description="For how many days the figures of campaigns are kept; the latest always are. At least 7.",
    )
    dagster_home: Path | None = Field(
        default=None,
        validation_alias="DAGSTER_HOME",
        description="Directory with Dagster's dagster.yaml; `mailchimp-pipeline doctor` uses it to find the daemon.",
        examples=["/opt/dagster"],
    )
    home: Annotated[Path, AfterValidator(_home)] = Field(
        default=Path(".local"),
        validate_default=True,
        validation_alias="MAILCHIMP_PIPELINE_HOME",
        description="Directory for local state. A relative path is relative to the project's root.",
    )
    api_port: _Port = Field(
        default=8000, validation_alias="MAILCHIMP_PIPELINE_API_PORT", description="Port of the API."
    )
    dashboard_translation: Path | None = Field(
        default=None,
        validation_alias="MAILCHIMP_PIPELINE_DASHBOARD_TRANSLATION",
        description="A compiled gettext catalogue (.mo) with the dashboard's texts. If not set: they are English.",
        examples=["/etc/mailchimp-pipeline/de.mo"],
    )
    ui_port: _Port = Field(
        default=3000, validation_alias="MAILCHIMP_PIPELINE_UI_PORT", description="Port of Dagster's UI."
    )
    sandbox_port: _Port = Field(
        default=8900, validation_alias="MAILCHIMP_PIPELINE_SANDBOX_PORT", description="Port of the Mailchimp sandbox."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the settings in `environ`, by default the process's environment and the file `.env`.

        A variable in the environment takes precedence over the file. An empty variable counts as not set. Raises
        `SettingsError` if a value is invalid.
        """
        given = _process_environment() if environ is None else environ
        names = VARIABLES.values()
        try:
            return cls.model_validate({name: text for name in names if (text := given.get(name, "").strip())})
        except ValidationError as error:
            raise SettingsError(_explained(error)) from None

    def environment(self) -> dict[str, str]:
        """Return the environment variables that give a child process the same settings.

        Secrets are in plain text, so the result must not be logged or stored.
        """
        return {VARIABLES[name]: _text(getattr(self, name)) for name in sorted(self.model_fields_set)}

    @property
    def proxy(self) -> str | None:
        """The URL of the proxy for calls to Mailchimp, with its password. None if no proxy is set."""
        return self.mailchimp_proxy.get_secret_value() if self.mailchimp_proxy else None

    @model_validator(mode="after")
    def _one_way_to_verify_tokens(self) -> Self:
        if self.token_secret and self.jwks_url:
            raise _invalid(
                "MAILCHIMP_PIPELINE_TOKEN_SECRET and MAILCHIMP_PIPELINE_JWKS_URL exclude each other: set one"
            )
        return self


VARIABLES: Mapping[str, str] = {name: str(info.validation_alias) for name, info in Settings.model_fields.items()}
"""The name of the environment variable of each setting."""


def _process_environment() -> Mapping[str, str]:
    # The same file that Dagster's commands read, so that both have the same settings.
    written = dotenv_values(Path.cwd() / ".env", interpolate=False)
    return {name: text for name, text in written.items() if text is not None} | dict(os.environ)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(cast("tuple[str, ...]", value))
    return "" if value is None else str(value)


def _explained(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "\n".join(["The settings cannot be used:", *(_line(problem["loc"], problem["msg"]) for problem in problems)])


def _line(place: tuple[int | str, ...], problem: str) -> str:
    if not place:
        return f"- {problem}."
    field_name = next(name for name, variable in VARIABLES.items() if variable == place[0])
    examples = Settings.model_fields[field_name].examples
    return f"- {place[0]}: {problem}." + (f" For example: {examples[0]}" if examples else "")
