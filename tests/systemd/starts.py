"""The ways to start it: on a closed day, by the timer, in another data directory."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from facts import Facts, wait_until
from service import BY_CALENDAR, UNIT, Service

TIMER = "krx-recorder.timer"
KOREA = timezone(timedelta(hours=9))
ZONES = ["America/New_York", "Asia/Seoul", "UTC"]


def days(trading: bool) -> str:
    """A calendar file in which the days that this test may see are trading days, or closed."""
    today = datetime.now(KOREA).date()
    hours = 'open = "00:00"\nclose = "23:59"\n' if trading else ""
    tables = [
        f'[[day]]\ndate = {today + timedelta(days=day)}\ntrading = {str(trading).lower()}\n{hours}' for day in (0, 1)
    ]
    return "\n".join(tables)


def on_a_closed_day(service: Service, facts: Facts) -> None:
    service.machine.write("/etc/krx-recorder/closed.toml", days(trading=False))
    service.configure(9890, schedule=BY_CALENDAR.format(calendar_file="/etc/krx-recorder/closed.toml"))
    service.arguments("--until-close")
    service.systemctl("start", UNIT)
    result = service.show("Result"), service.show("ExecMainStatus"), service.show("ActiveState"), service.show("NRestarts")
    done = result == ("success", "0", "inactive", "0")
    facts.that("--until-close on a closed day ends at once, with exit code 0", done, (result, service.state()))
    line = service.journal("--lines=5", "--output=cat")
    facts.that("and says when the next session opens", "the next session opens" in line, line)
    print("               " + next((text for text in line.splitlines() if "next session" in text), ""))


def by_the_timer(service: Service, facts: Facts) -> None:
    machine = service.machine
    expression = machine.run("sed", "-n", "s/^OnCalendar=//p", f"/usr/lib/systemd/system/{TIMER}").stdout.strip()
    for zone in ZONES:
        elapse = machine.run("systemd-analyze", "calendar", expression, env={"TZ": zone}).stdout
        facts.that(f"in the zone {zone} it elapses at 08:10 in Korea", "23:10:00 UTC" in elapse, elapse)

    before = service.journal().count("the next session opens")
    service.systemctl("enable", "--now", "--quiet", TIMER)
    ended = wait_until(lambda: service.journal().count("the next session opens") == before + 1)
    facts.that("enabled on a closed day, it has the service start and end", ended, service.state())
    elapse = service.show("NextElapseUSecRealtime", TIMER)
    facts.that(f"it elapses next at {elapse}", "23:10:00 UTC" in elapse, elapse)
    service.systemctl("disable", "--now", "--quiet", TIMER)

    machine.write("/etc/krx-recorder/trading.toml", days(trading=True))
    service.configure(9890, schedule=BY_CALENDAR.format(calendar_file="/etc/krx-recorder/trading.toml"))
    at = datetime.now(KOREA) + timedelta(seconds=4)
    service.drop_in(f"[Timer]\nOnBootSec=\nOnCalendar=\nOnCalendar={at:%Y-%m-%d %H:%M:%S} Asia/Seoul\n", TIMER)
    service.systemctl("start", TIMER)
    facts.that("before its time the timer has started nothing", service.show("ActiveState") == "inactive", service.state())
    facts.that("at its time it starts the service, which records", service.wait_for_records(), service.state())
    started = service.show("ExecMainStartTimestamp")
    facts.that(f"at {at:%H:%M:%S} in Korea", f"{at.astimezone(timezone.utc):%H:%M:%S}" in started, started)
    service.drop_in(None, TIMER)
    service.systemctl("stop", TIMER, UNIT)
    service.arguments("")

    service.configure(9890)
    service.systemctl("enable", "--now", "--quiet", TIMER)
    facts.that("enabled in mid-session, the timer has it record at once", service.wait_for_records(), service.state())
    service.systemctl("disable", "--now", "--quiet", TIMER)
    service.systemctl("stop", UNIT)


def in_another_directory(service: Service, facts: Facts) -> None:
    machine, data = service.machine, "/srv/krx"
    machine.run("install", "-d", "-m", "750", "-o", "krx", "-g", "krx", data)
    service.configure(9890, data_dir=data)
    machine.run("systemctl", "start", UNIT, check=False)
    refused = wait_until(lambda: service.show("ExecMainStatus") == "74")
    facts.that("a directory that the unit does not allow: exit code 74", refused, service.state())
    facts.that("which says what it was", f"{data}/.krx" in service.journal("--lines=10"), service.state())
    service.systemctl("stop", UNIT)
    service.drop_in(f"[Service]\nReadWritePaths={data}\n")
    service.systemctl("start", UNIT)
    facts.that("with ReadWritePaths= in a drop-in it records there", service.wait_for_records(), service.state())
    service.systemctl("stop", UNIT)
    service.drop_in(None)
