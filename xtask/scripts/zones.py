"""Writes the table of number prefixes and time zones, `zones.tsv`, from libphonenumber's data and our corrections.

Usage: zones.py FOLDER, where FOLDER holds the inputs `nanp.tsv`, `regions.tsv`, `zone_fixes.tsv` and
`zone_people.tsv` and receives `zones.tsv`. `cargo xtask zones` runs it with pinned packages, so that the same inputs
give the same table.

libphonenumber's time-zone rows are often wrong (+1 689 is in Florida, not in Chicago's zone; Algeria is not Paris).
Every row is checked against a second source before it is written:

* a NANP area code against the state or province that the geocoding data names, and that region's zones;
* every other prefix against the zones that the tz database lists for the countries of its calling code.

A row that fails the check stops the script until `zone_fixes.tsv` corrects it.
"""
import datetime
import functools
import pathlib
import sys
import zoneinfo
from collections import Counter

import phonenumbers
import tzdata
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE as COUNTRIES
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

# The zone data of the pinned package, not of the machine.
TZDATA = pathlib.Path(tzdata.__file__).parent / "zoneinfo"
zoneinfo.reset_tzpath(to=[str(TZDATA)])

# A zone with a smaller share of an area code's exchanges is left to the rows of those exchanges.
SMALLEST_SHARE = 0.10

# Regions that the tz database does not list: Ascension and Kosovo.
UNLISTED = {"AC": ["Atlantic/St_Helena"], "XK": ["Europe/Belgrade"]}

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "Washington D.C.": "DC", "Florida": "FL", "Georgia": "GA", "Hawaii": "HI",
    "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY",
    "Louisiana": "LA", "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN",
    "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH",
    "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC", "North Dakota": "ND",
    "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA", "Rhode Island": "RI",
    "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX", "Utah": "UT", "Vermont": "VT",
    "Virginia": "VA", "Washington State": "WA", "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}
PROVINCES = {
    "Alberta": "AB", "British Columbia": "BC", "British Colombia": "BC", "Manitoba": "MB", "New Brunswick": "NB",
    "Newfoundland and Labrador": "NL", "Northwest Territories/Nunavut/Yukon": "NT",
    "Nova Scotia/Prince Edward Island": "NS", "Ontario": "ON", "Quebec": "QC", "Saskatchewan": "SK",
}
PROVINCE_CODES = set(PROVINCES.values()) | {"NU", "PE", "YT"}


def read(path):
    """The rows of a tab-separated file without its comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]


@functools.cache
def clock(zone):
    """The zone's offsets from 2027 to 2030, every six hours. Zones with the same clock are one candidate."""
    rules = zoneinfo.ZoneInfo(zone)
    start = datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
    moments = (start + datetime.timedelta(hours=h) for h in range(0, 24 * 365 * 4, 6))
    return hash(tuple(moment.astimezone(rules).utcoffset() for moment in moments))


class Zones:
    """The zones of each country and their order."""

    def __init__(self, people):
        self.people = {zone: int(thousands) for zone, thousands in people}
        self.listed = dict(UNLISTED)
        for country, _, zone, *_ in read(TZDATA / "zone.tab"):
            self.listed.setdefault(country, []).append(zone)

    def of_countries(self, countries):
        """The tz database's zones of several countries, in its order."""
        return [zone for country in countries for zone in self.listed.get(country, [])]

    def ordered(self, zones):
        """The distinct clocks among `zones`, the most populous first."""
        if len({clock(zone) for zone in zones}) == 1 and not any(zone in self.people for zone in zones):
            return zones[:1]
        missing = [zone for zone in zones if zone not in self.people]
        if missing:
            raise SystemExit(f"zone_people.tsv has no row for {', '.join(missing)}")
        kept = {}
        for zone in sorted(zones, key=lambda zone: -self.people[zone]):
            kept.setdefault(clock(zone), zone)
        return list(kept.values())

    def canonical(self, zones, allowed):
        """`zones` under the names that `allowed` has for their clocks; others are dropped."""
        by_clock = {}
        for zone in sorted(allowed, key=lambda zone: -self.people.get(zone, 0)):
            by_clock.setdefault(clock(zone), zone)
        found = [by_clock[clock(zone)] for zone in zones if clock(zone) in by_clock]
        return list(dict.fromkeys(found))


def described_region(prefix):
    """The state or province that the geocoding data names for a NANP prefix, as `US-FL`; None if it names none."""
    text = GEOCODE_DATA.get(prefix, {}).get("en", "")
    name = text.rsplit(", ", 1)[-1]
    if name in PROVINCES or name in PROVINCE_CODES:
        return "CA-" + PROVINCES.get(name, name)
    if name in STATES or name in STATES.values():
        return "US-" + STATES.get(name, name)
    return None


def libphonenumber(prefix):
    """libphonenumber's zones by longest prefix."""
    lengths = range(len(prefix), 0, -1)
    return next((list(TIMEZONE_DATA[prefix[:n]]) for n in lengths if prefix[:n] in TIMEZONE_DATA), [])


def nanp(zones, areas, regions, fixed):
    """The rows of North America, with the corrections that are needed."""
    rows, problems = {}, []
    for area, named in areas.items():
        described = described_region("1" + area)
        if described and described not in named:
            problems.append(f"nanp.tsv says {'|'.join(named)} for {area}, libphonenumber {described}")
        allowed = list(dict.fromkeys(zone for region in named for zone in regions[region]))
        if len(allowed) == 1:
            rows["1" + area] = allowed
            continue
        exchanges = exchanges_of(zones, area, allowed, regions)
        rows["1" + area] = area_row(zones, area, allowed, exchanges)
        if not rows["1" + area] and "1" + area not in fixed:
            problems.append(f"no zone of {area} ({'|'.join(named)}) is known")
        rows.update(exchanges)
    return rows, problems


def exchanges_of(zones, area, allowed, regions):
    """The exchanges of an area code, and groups of exchanges, whose zone is known among the zones of its regions."""
    known = {}
    for prefix in {p for table in (GEOCODE_DATA, TIMEZONE_DATA) for p in table if p.startswith("1" + area)}:
        if len(prefix) == 4:
            continue
        region = regions.get(described_region(prefix), [])
        found = region if len(region) == 1 else zones.canonical(libphonenumber(prefix), allowed)
        if found:
            known[prefix] = sorted(found, key=allowed.index)
    return known


def area_row(zones, area, allowed, exchanges):
    """The zones of an area code as a whole, by their share of its exchanges."""
    count = Counter(found[0] for found in exchanges.values() if len(found) == 1)
    if not count:
        found = zones.canonical(TIMEZONE_DATA.get("1" + area, []), allowed)
        return zones.ordered(found) if found else []
    least = sum(count.values()) * SMALLEST_SHARE
    return [zone for zone, n in count.most_common() if n >= least]


def elsewhere(zones, fixed):
    """The rows of every calling code but 1, with the corrections that are needed."""
    rows, problems = {}, []
    for code, countries in COUNTRIES.items():
        listed = zones.of_countries(countries)
        if code == 1 or not listed:
            continue
        if len({clock(zone) for zone in listed}) == 1:
            ranked = [zone for zone in listed if zone in zones.people]
            rows[str(code)] = zones.ordered(ranked)[:1] or listed[:1]
            continue
        for prefix in (p for p in TIMEZONE_DATA if p.startswith(str(code))):
            found = zones.canonical(TIMEZONE_DATA[prefix], listed)
            if found:
                rows[prefix] = zones.ordered(found)
            elif not is_fixed(prefix, fixed):
                problems.append(f"+{prefix}: {TIMEZONE_DATA[prefix]} is not a zone of {countries}")
    return rows, problems


def is_fixed(prefix, fixed):
    """Whether a correction replaces the row of `prefix`."""
    return prefix in fixed or any(prefix[:n] + "*" in fixed for n in range(1, len(prefix) + 1))


def correct(rows, fixed):
    """Applies the corrections: whole subtrees first, then single rows, then overlays."""
    for prefix in (p[:-1] for p in fixed if p.endswith("*")):
        for longer in [p for p in rows if p.startswith(prefix)]:
            del rows[longer]
    for prefix, zones in fixed.items():
        if not zones.startswith("="):
            rows[prefix.rstrip("*")] = [] if zones == "-" else zones.split("|")
    for prefix, zones in fixed.items():
        if zones.startswith("="):
            for longer in [p for p in rows if p.startswith(prefix)]:
                del rows[longer]
            rows[prefix] = rows["1" + zones[1:]]


def pruned(rows):
    """The rows that say something else than the next shorter prefix."""
    def shorter(prefix):
        return next((rows[prefix[:n]] for n in range(len(prefix) - 1, 0, -1) if prefix[:n] in rows), [])
    return {prefix: rows[prefix] for prefix in sorted(rows) if rows[prefix] != shorter(prefix)}


def main(folder):
    zones = Zones(read(folder / "zone_people.tsv"))
    areas = {area: named.split("|") for area, named in read(folder / "nanp.tsv")}
    regions = {region: named.split("|") for region, named in read(folder / "regions.tsv")}
    fixed = {prefix: named for prefix, named, _source in read(folder / "zone_fixes.tsv")}
    unknown = [p[1:] for p in TIMEZONE_DATA if p[0] == "1" and len(p) == 4 and p[1:] not in areas]
    problems = [f"nanp.tsv lacks area code {area}" for area in unknown]
    rows, more = nanp(zones, areas, regions, fixed)
    problems += more
    others, more = elsewhere(zones, fixed)
    problems += more
    if problems:
        raise SystemExit("\n".join(problems))
    rows.update(others)
    correct(rows, fixed)
    rows = pruned(rows)
    out = [
        "# E.164 prefixes (without `+`) and the time zones they are used in, the most populous first; `-` for none.",
        "# Generated by `cargo xtask zones`; do not edit: corrections go into zone_fixes.tsv.",
        f"# Sources: libphonenumber time-zone and geocoding data (phonenumbers {phonenumbers.__version__}),",
        f"# the tz database ({tzdata.IANA_VERSION}), and the tables beside this file.",
        "# Copyright (C) 2009 The Libphonenumber Authors. Licensed under the Apache License, Version 2.0.",
    ]
    out += [f"{prefix}\t{'|'.join(found) or '-'}" for prefix, found in rows.items()]
    (folder / "zones.tsv").write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
