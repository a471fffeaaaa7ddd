"""Generated employees and vendors of three organisations, for the demo and development, with flaws like real data.

Names are common ones from short lists, and addresses have domains that nobody can own.
"""

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

Row = dict[str, str]

EMPLOYEE_COLUMNS = (
    "organisation_id",
    "id",
    "email",
    "first_name",
    "last_name",
    "department",
    "location",
    "employment_type",
    "employment_status",
)
VENDOR_COLUMNS = ("organisation_id", "id", "email", "name", "company_name", "location")

_SEED = 20
# fmt: off
_FIRST_NAMES = (
    "Aisha", "Amélie", "Anna", "António", "Bence", "Björn", "Chidi", "Chloé", "Daniel", "Dörte", "Elena", "Emeka",
    "Fatima", "François", "Grace", "Hannah", "Ines", "Jack", "Jürgen", "Kaito", "Katarzyna", "Lars", "Li", "Lucía",
    "Łukasz", "María", "Mehmet", "Michael", "Mohammed", "Nadia", "Niamh", "Noah", "Olga", "Olivia", "Priya", "Ravi",
    "Sarah", "Siân", "Sofia", "Søren", "Thomas", "Tuğçe", "Wei", "Yara", "Yuki", "Zoë", "Anne-Marie", "José",
)
_LAST_NAMES = (
    "Andersson", "Bauer", "Brown", "Castro", "Chen", "Costa", "D'Angelo", "Demir", "Dubois", "Evans", "Fernández",
    "García", "Gruber", "Haddad", "Hansen", "Horváth", "Ito", "Jensen", "Johnson", "Khan", "Kowalski", "Kumar",
    "Lindström", "López", "MacDonald", "Martin", "Meyer", "Müller", "Murphy", "Nagy", "Nguyen", "Novák", "O'Brien",
    "O'Neill", "Okafor", "Olsen", "Patel", "Pérez", "Rossi", "Santos", "Schmidt", "Silva", "Smith", "Tanaka",
    "Walsh", "Weiß", "Williams", "Wójcik", "Şahin", "Zhang",
)
# fmt: on
_LONG_NAMES = ("von Hohenstein-Wittgenau zu Sandersfeld", "de la Fuente y Villanueva del Campo", "Ramanathapuram Iyer")
_DEPARTMENTS = ("Engineering", "Sales", "Marketing", "Finance", "People", "Operations", "Customer Support", "R&D")
_TYPES = ("full_time",) * 7 + ("part_time",) * 2 + ("contractor",)
_STATUSES = ("active",) * 18 + ("on_leave", "terminated")
_GOODS = ("Bolts", "Catering", "Cleaning", "Couriers", "Freight", "Furniture", "Lighting", "Paper", "Printing", "Tools")
_FORMS = ("Ltd", "GmbH", "S.A.", ", Inc.", "& Sons", "B.V.")
_VENDOR_BOXES = ("hello", "orders", "sales", "info", "billing")
_WITHOUT_ACCENT = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "'": "", " ": ""})


@dataclass(frozen=True, slots=True)
class _Organisation:
    id: str
    domain: str
    employees: int
    vendors: int
    employee_id: str
    locations: tuple[str, ...]


_ORGANISATIONS = (
    _Organisation("acme", "acme-corp.test", 1200, 180, "{}", ("Berlin", "London", "Washington, DC", "Remote")),
    _Organisation("borealis", "borealis-energy.test", 600, 90, "B-{}", ("Göteborg", "Tromsø", "Reykjavík")),
    _Organisation("cormorant", "cormorant-ferries.test", 200, 30, "{:05}", ("Galway", "Santander")),
)


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many sample employees and vendors were written."""

    employees: int
    vendors: int


@dataclass(frozen=True, slots=True)
class SampleChange:
    """The number of employees with each kind of change."""

    renamed: int
    moved: int
    left: int
    hired: int


def write_sample(directory: Path) -> SampleSize:
    """Write `employees.csv` and `vendors.csv`, replacing existing files. The content is the same on each call."""
    random = Random(_SEED)  # noqa: S311  # made data, nothing to guess
    employees = [row for organisation in _ORGANISATIONS for row in _employees(organisation, random)]
    vendors = [row for organisation in _ORGANISATIONS for row in _vendors(organisation, random, employees)]
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "employees.csv", EMPLOYEE_COLUMNS, employees)
    _write(directory / "vendors.csv", VENDOR_COLUMNS, vendors)
    return SampleSize(employees=len(employees), vendors=len(vendors))


def change_sample(directory: Path) -> SampleChange:
    """Change the sample like a day of HR work: in acme, one employee marries, two move, one leaves and one is hired.

    The changed employees have valid addresses that no other contact has. Each call changes other employees than the
    previous call. The same sample is always changed in the same way.
    """
    path = directory / "employees.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random = Random(len(rows))  # noqa: S311  # as above
    acme = _ORGANISATIONS[0]
    addresses = Counter(_folded(row["email"]) for row in rows)
    staff = [row for row in rows if _is_at_work(row, acme) and addresses[_folded(row["email"])] == 1]
    married, *moving, leaving = random.sample(staff, 4)
    married["last_name"] = random.choice([name for name in _LAST_NAMES if name != married["last_name"]])
    for row in moving:
        row["department"] = random.choice([name for name in _DEPARTMENTS if name.lower() != row["department"].lower()])
    leaving["employment_status"] = "terminated"
    hired = _employee(acme, len(rows), random) | {"location": "Remote", "employment_status": "active"}
    rows.append(_with_own_address(hired, len(rows), addresses))
    _write(path, EMPLOYEE_COLUMNS, rows)
    return SampleChange(renamed=1, moved=len(moving), left=1, hired=1)


def _employees(organisation: _Organisation, random: Random) -> Iterator[Row]:
    seen: set[str] = set()
    for number in range(1, organisation.employees + 1):
        row = _with_own_address(_employee(organisation, number, random), number, seen)
        seen.add(row["email"])
        yield _flawed(row, number, _EMPLOYEE_FLAWS)


def _employee(organisation: _Organisation, number: int, random: Random) -> Row:
    first = random.choice(_FIRST_NAMES)
    last = random.choice(_LONG_NAMES if number % 149 == 0 else _LAST_NAMES)
    return {
        "organisation_id": organisation.id,
        "id": organisation.employee_id.format(number),
        "email": f"{_in_ascii(first)}.{_in_ascii(last)}@{organisation.domain}",
        "first_name": first,
        "last_name": last,
        "department": random.choice(_DEPARTMENTS),
        "location": random.choice(organisation.locations),
        "employment_type": random.choice(_TYPES),
        "employment_status": random.choice(_STATUSES),
    }


def _with_own_address(row: Row, number: int, taken: Container[str]) -> Row:
    """Return the row with a number added to its address if the address is taken."""
    return row | {"email": row["email"].replace("@", f"{number}@")} if row["email"] in taken else row


def _is_at_work(row: Row, organisation: _Organisation) -> bool:
    has_address = _folded(row["email"]).endswith(f"@{organisation.domain}") and row["email"].count("@") == 1
    return row["organisation_id"] == organisation.id and row["employment_status"] == "active" and has_address


def _folded(address: str) -> str:
    return address.strip().lower()


def _vendors(organisation: _Organisation, random: Random, employees: Sequence[Row]) -> Iterator[Row]:
    staff = [row for row in employees if row["organisation_id"] == organisation.id]
    for number in range(1, organisation.vendors + 1):
        family, goods = random.choice(_LAST_NAMES), random.choice(_GOODS)
        contact = f"{random.choice(_FIRST_NAMES)} {family}" if random.getrandbits(1) else ""
        row = {
            "organisation_id": organisation.id,
            "id": f"V{number}",
            "email": f"{random.choice(_VENDOR_BOXES)}@{_in_ascii(family)}-{goods.lower()}{number}.test",
            "name": contact,
            "company_name": f"{family} {goods} {random.choice(_FORMS)}".replace(" ,", ","),
            "location": random.choice(organisation.locations),
        }
        if number % 15 == 0:  # a contractor with an employee's address
            row["email"] = random.choice(staff)["email"]
        yield _flawed(row, number, _VENDOR_FLAWS)


def _in_ascii(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().translate(_WITHOUT_ACCENT))
    return decomposed.encode("ascii", "ignore").decode()


def _with_example_address(row: Row) -> Row:
    return row | {"email": row["email"].partition("@")[0] + "@example.com"}


def _without_address(row: Row) -> Row:
    return row | {"email": ""}


def _with_misspelt_address(row: Row) -> Row:
    return row | {"email": row["email"].replace("@", " at " if "o" in row["email"] else "@@")}


def _with_shared_address(row: Row) -> Row:
    return row | {"email": "frontdesk@" + row["email"].partition("@")[2]}


def _in_capitals(row: Row) -> Row:
    return row | {
        "email": row["email"].title(),
        **({"department": row["department"].upper()} if "department" in row else {}),
    }


def _with_blanks(row: Row) -> Row:
    return row | {"email": f" {row['email']} ", "location": f"{row['location']}  "}


_Flaws = tuple[tuple[int, Callable[[Row], Row]], ...]

_EMPLOYEE_FLAWS: _Flaws = (
    (401, _with_example_address),
    (89, _without_address),
    (97, _with_misspelt_address),
    (73, _with_shared_address),
    (11, _in_capitals),
    (29, _with_blanks),
)
_VENDOR_FLAWS: _Flaws = (
    (67, _with_example_address),
    (41, _without_address),
    (47, _with_misspelt_address),
    (7, _in_capitals),
    (19, _with_blanks),
)


def _flawed(row: Row, number: int, flaws: _Flaws) -> Row:
    """Return the row with the flaws for this number: each flaw applies to every n-th row, where n is a prime."""
    for every, flaw in flaws:
        if number % every == 0:
            row = flaw(row)
    return row


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Replace the file in one step, so that readers get either the old or the new content."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)
