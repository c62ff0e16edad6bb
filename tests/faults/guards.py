"""The guards, and how each is switched off: in the programs by their test build (common/guard.h), in the tables by another
text of the function in the private database."""

# name -> [(function, text, what it becomes)]
IN_TABLES = {
    "grant": [("hler_core.claim_verdict", "WHEN a.state = 'offered' OR a.worker <> claimant OR a.instance <> claimed_by THEN 'taken'", "")],
    "token": [("hler_core.judge", "OR a.token <> e.token", ""), ("hler_core.grant_claims", "AND x.token = c.token", ""),
              ("hler_core.claim_verdict", "OR a.token <> claimed_token", "")],
    "instance": [("hler_core.claim_verdict", "OR a.instance <> claimed_by", "")],
    "result-count": [("hler_core.settle_attempts", "AND a.results_recorded >= a.results_expected", "")],
}
IN_PROGRAMS = ("lease", "claim-age", "journal-lock")
ALL = (*IN_TABLES, *IN_PROGRAMS)


def switch_off(stack, name):
    """Nothing for None and for a guard of the programs, which read HLER_GUARD_OFF."""
    for function, text, instead in IN_TABLES.get(name, ()):
        definition = stack.one("SELECT pg_get_functiondef(%s::regproc) AS d", function, role="migrate")
        assert text in definition, f"{function} has no {text!r}: guards.py is behind"
        stack.sql(definition.replace(text, instead).replace("%", "%%"), role="migrate")
