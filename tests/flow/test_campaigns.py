"""Writing, scheduling, pausing, resuming, cancelling, duplicating, deleting: every rule, on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import campaigns, reports
from app.flow.campaign_content import CampaignContent, content_of
from app.flow.campaigns import CampaignProblem, ContentRefused, NotReady
from app.models import (
    CAMPAIGN_TRANSITIONS,
    Batch,
    BatchStatus,
    Campaign,
    CampaignStatus,
    IllegalTransition,
    SubscriptionStatus,
    check_transition,
)
from tests import factories, ledger
from tests.fixtures.laws import arrange


@pytest.fixture
def domain(session, panel):
    return ledger.sending_domain_with_key(session, panel.id)


@pytest.fixture
def people(session, panel):
    """A list with three people."""
    row = factories.mailing_list(session, panel)
    for name in ("ana", "beto", "carla"):
        factories.contact(session, panel, f"{name}@example.pe", row, name=name.capitalize())
    return row


@pytest.fixture
def draft(session, panel, domain, people):
    return factories.campaign(session, panel, people)


def written(**values) -> CampaignContent:
    return CampaignContent(
        **{
            "name": "Feria",
            "subject": "Hola {{ nombre }}",
            "from_name": "Bolsa de empleo",
            "from_email": "noticias@boletin.example.gob.pe",
            "html": "<p>Hola {{ nombre }}</p>",
            **values,
        }
    )


def problem_codes(session, settings, panel, **values) -> dict[str, str]:
    with pytest.raises(ContentRefused) as refused:
        campaigns.create_campaign(session, settings, panel.id, written(**values))
    return {problem.field: problem.code for problem in refused.value.problems}


class TestWriting:
    def test_new_campaign_is_a_draft_with_what_was_written(self, session, settings, panel, domain, people, alice):
        content = written(list_ids=(people.id, people.id), rate_per_hour=500, reply_to="Mesa@Example.PE")
        campaign = campaigns.create_campaign(session, settings, panel.id, content, user_id=alice.id)
        assert campaign.status is CampaignStatus.DRAFT
        assert [row.id for row in campaign.lists] == [people.id]
        assert (campaign.rate_per_hour, campaign.reply_to, campaign.created_by_id) == (500, "mesa@example.pe", alice.id)

    def test_draft_may_be_incomplete(self, session, settings, panel):
        campaign = campaigns.create_campaign(session, settings, panel.id, CampaignContent(name="Solo un nombre"))
        assert campaign.id

    def test_draft_needs_a_name(self, session, settings, panel, domain):
        assert problem_codes(session, settings, panel, name="  ") == {"name": "name_missing"}

    @pytest.mark.parametrize("field", ["subject", "from_name", "preheader", "name"])
    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
    def test_line_break_in_a_header_is_refused(self, session, settings, panel, domain, field, end):
        found = problem_codes(session, settings, panel, **{field: f"Hola{end}Bcc: todos@example.com"})
        assert set(found) == {field}
        assert session.scalar(select(Campaign.id)) is None

    @pytest.mark.parametrize("field", ["from_email", "reply_to"])
    @pytest.mark.parametrize(
        "address",
        [
            "noticias@boletin.example.gob.pe\r\nBcc: x@example.com",
            "noticias@boletin.example.gob.pe, otra@boletin.example.gob.pe",
            "Nombre <noticias@boletin.example.gob.pe>",
            "noticias@boletin.example.gob.pe\0",
            '"a\nb"@boletin.example.gob.pe',
            "noticias",
        ],
    )
    def test_address_that_is_not_just_an_address_is_refused(self, session, settings, panel, domain, field, address):
        assert problem_codes(session, settings, panel, **{field: address}) == {field: "address_invalid"}

    def test_from_outside_the_panels_domains_is_refused(self, session, settings, panel, domain, other_panel):
        ledger.sending_domain_with_key(session, other_panel.id, "ajeno.example.gob.pe")
        for host in ("otro.example.gob.pe", "ajeno.example.gob.pe", "sub.boletin.example.gob.pe"):
            codes = problem_codes(session, settings, panel, from_email=f"noticias@{host}")
            assert codes == {"from_email": "domain_not_of_panel"}

    @pytest.mark.parametrize("host", ["example.com", "boletin-gob.pe", "gob.pe.example.com", "xgob.pe"])
    def test_from_outside_the_allowed_suffix_is_refused_even_on_a_domain_of_the_panel(
        self, session, settings, panel, host
    ):
        ledger.sending_domain_with_key(session, panel.id, host)
        assert problem_codes(session, settings, panel, from_email=f"a@{host}") == {"from_email": "domain_not_allowed"}

    @pytest.mark.parametrize(
        ("html", "code", "line", "column"),
        [
            ("<p>\n  {{ nombr }}", "unknown_field", 2, 6),
            ("{% for a in nombre %}x{% endfor %}", "loop_not_allowed", 1, 1),
            ("<p>{{ nombre", "unclosed_tag", 1, 4),
            ("{{ nombre.__class__ }}", "private_access", 1, 10),
            ("a\r\n{{ nombre() }}", "call_not_allowed", 2, 10),
        ],
    )
    def test_broken_template_is_refused_with_its_place(
        self, session, settings, panel, domain, html, code, line, column
    ):
        with pytest.raises(ContentRefused) as refused:
            campaigns.create_campaign(session, settings, panel.id, written(html=html))
        (problem, *_rest) = refused.value.problems
        assert (problem.field, problem.code, problem.line) == ("html", code, line)
        assert abs(problem.column - column) <= 3

    def test_custom_fields_of_the_panel_are_known_and_those_of_another_are_not(
        self, session, settings, panel, other_panel, domain
    ):
        factories.custom_field(session, panel, "region")
        factories.custom_field(session, other_panel, "sector")
        assert campaigns.create_campaign(session, settings, panel.id, written(html="{{ region }}")).id
        assert problem_codes(session, settings, panel, html="{{ sector }}") == {"html": "unknown_field"}

    def test_list_of_another_panel_or_an_archived_one_is_refused(self, session, settings, panel, other_panel, domain):
        foreign = factories.mailing_list(session, other_panel)
        archived = factories.mailing_list(session, panel, "Antigua", archived_at=datetime.now(UTC))
        for row in (foreign, archived):
            assert problem_codes(session, settings, panel, list_ids=(row.id,)) == {"list_ids": "list_unknown"}

    @pytest.mark.parametrize("rate", [0, -1, 10**9])
    def test_rate_out_of_range_is_refused(self, session, settings, panel, domain, rate):
        assert problem_codes(session, settings, panel, rate_per_hour=rate) == {"rate_per_hour": "rate_out_of_range"}

    def test_all_problems_are_told_at_once(self, session, settings, panel, domain):
        found = problem_codes(session, settings, panel, name="", subject="{{ x }}", html="{{", from_email="no")
        assert set(found) == {"name", "subject", "html", "from_email"}

    def test_refused_save_leaves_the_stored_draft_as_it_was(self, session, settings, panel, draft):
        before = content_of(draft)
        with pytest.raises(ContentRefused):
            campaigns.save_campaign(session, settings, panel.id, draft.id, written(html="{{ nada }}", name="Otro"))
        session.expire_all()
        assert content_of(draft) == before

    def test_save_over_somebody_elses_save_is_refused(self, session, settings, panel, draft):
        read_at = draft.updated_at
        campaigns.save_campaign(session, settings, panel.id, draft.id, written(name="Primera"), read_at=read_at)
        with pytest.raises(CampaignProblem, match="changed_meanwhile"):
            campaigns.save_campaign(session, settings, panel.id, draft.id, written(name="Segunda"), read_at=read_at)
        session.expire_all()
        assert draft.name == "Primera"

    @pytest.mark.parametrize("status", [s for s in CampaignStatus if s not in campaigns.WRITABLE])
    def test_only_drafts_are_written_or_deleted(self, session, settings, panel, draft, status):
        arrange(session)
        draft.status = status
        session.commit()
        with pytest.raises(CampaignProblem, match="not_a_draft"):
            campaigns.save_campaign(session, settings, panel.id, draft.id, written())
        with pytest.raises(CampaignProblem, match="not_a_draft"):
            campaigns.delete_draft(session, panel.id, draft.id)

    def test_duplicate_is_a_draft_with_the_same_content(self, session, panel, draft, people):
        gone = factories.mailing_list(session, panel, "Archivada", archived_at=datetime.now(UTC))
        draft.lists.append(gone)
        draft.preheader, draft.rate_per_hour = "Un vistazo", 900
        ledger.freeze(session, draft, ["accepted"], status=CampaignStatus.FINISHED)
        copy = campaigns.duplicate_campaign(session, panel.id, draft.id, name="Copia")
        assert copy.status is CampaignStatus.DRAFT
        assert (copy.name, copy.frozen_on, copy.audience_size, copy.scheduled_at) == ("Copia", None, 0, None)
        assert [row.id for row in copy.lists] == [people.id]
        assert (copy.html, copy.preheader, copy.rate_per_hour) == (draft.html, "Un vistazo", 900)

    def test_draft_is_deleted_with_its_proofs(self, session, panel, draft):
        session.execute(
            text("INSERT INTO proof (panel_id, campaign_id, email, status) VALUES (:p, :c, 'a@example.pe', 'queued')"),
            {"p": panel.id, "c": draft.id},
        )
        session.commit()
        campaigns.delete_draft(session, panel.id, draft.id)
        assert session.scalar(text("SELECT count(*) FROM proof")) == 0


class TestScheduling:
    def test_now_means_due_at_once(self, session, settings, panel, draft):
        campaigns.schedule_campaign(session, settings, panel.id, draft.id)
        assert draft.status is CampaignStatus.SCHEDULED
        assert draft.scheduled_at <= datetime.now(UTC)

    def test_later_is_kept_as_it_was_said(self, session, settings, panel, draft):
        at = datetime.now(UTC) + timedelta(days=2)
        campaigns.schedule_campaign(session, settings, panel.id, draft.id, at=at)
        session.expire_all()
        assert draft.scheduled_at == at

    def test_past_is_refused(self, session, settings, panel, draft):
        with pytest.raises(CampaignProblem, match="past"):
            campaigns.schedule_campaign(
                session, settings, panel.id, draft.id, at=datetime.now(UTC) - timedelta(minutes=2)
            )
        assert draft.status is CampaignStatus.DRAFT

    def test_next_century_is_refused(self, session, settings, panel, draft):
        with pytest.raises(CampaignProblem, match="too_far"):
            campaigns.schedule_campaign(
                session, settings, panel.id, draft.id, at=datetime.now(UTC) + timedelta(days=9000)
            )

    def test_time_without_zone_is_a_programming_error(self, session, settings, panel, draft):
        with pytest.raises(ValueError, match="time zone"):
            campaigns.schedule_campaign(session, settings, panel.id, draft.id, at=datetime(2030, 1, 1))  # noqa: DTZ001

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"subject": ""}, "subject_missing"),
            ({"from_name": ""}, "from_name_missing"),
            ({"from_email": ""}, "from_email_missing"),
            ({"html": " "}, "content_missing"),
            ({"html": "{{ borrado }}"}, "content_broken"),
            ({"from_email": "a@ajeno.example.gob.pe"}, "content_broken"),
            ({"lists": []}, "lists_missing"),
        ],
    )
    def test_what_is_not_ready_is_not_scheduled(self, session, settings, panel, draft, change, code):
        for name, value in change.items():
            setattr(draft, name, value)
        session.commit()
        with pytest.raises(NotReady) as refused:
            campaigns.schedule_campaign(session, settings, panel.id, draft.id)
        assert code in {finding.code for finding in refused.value.blockers}
        session.expire_all()
        assert draft.status is CampaignStatus.DRAFT

    def test_campaign_whose_domain_lost_its_key_is_not_scheduled(self, session, settings, panel, draft, domain):
        domain.dkim_keys[0].is_active = False
        session.commit()
        with pytest.raises(NotReady, match="dkim_missing"):
            campaigns.schedule_campaign(session, settings, panel.id, draft.id)

    def test_campaign_for_nobody_is_not_scheduled(self, session, settings, panel, domain):
        people = factories.mailing_list(session, panel, "Vacía")
        factories.contact(session, panel, "ida@example.pe", people, status=SubscriptionStatus.UNSUBSCRIBED)
        draft = factories.campaign(session, panel, people)
        with pytest.raises(NotReady, match="nobody"):
            campaigns.schedule_campaign(session, settings, panel.id, draft.id)

    def test_back_to_draft_before_its_time(self, session, settings, panel, draft):
        campaigns.schedule_campaign(session, settings, panel.id, draft.id, at=datetime.now(UTC) + timedelta(days=1))
        campaigns.unschedule_campaign(session, panel.id, draft.id)
        assert (draft.status, draft.scheduled_at) == (CampaignStatus.DRAFT, None)

    def test_no_way_back_once_it_began(self, session, panel, draft):
        arrange(session)
        draft.status = CampaignStatus.PREPARING
        session.commit()
        with pytest.raises(CampaignProblem, match="wrong_status"):
            campaigns.unschedule_campaign(session, panel.id, draft.id)

    def test_scheduled_campaign_is_not_written(self, session, settings, panel, draft):
        campaigns.schedule_campaign(session, settings, panel.id, draft.id)
        with pytest.raises(CampaignProblem, match="not_a_draft"):
            campaigns.save_campaign(session, settings, panel.id, draft.id, written())

    def test_scheduling_rings_the_dispatcher_after_the_commit(self, session, settings, panel, draft):
        import psycopg

        url = settings.database_url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as listener:
            listener.execute("LISTEN chaski_work")
            campaigns.schedule_campaign(session, settings, panel.id, draft.id)
            assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1


class TestRunning:
    @pytest.mark.parametrize("status", [CampaignStatus.PREPARING, CampaignStatus.SENDING])
    def test_pause_and_resume(self, session, panel, draft, status):
        arrange(session)
        draft.status = status
        draft.relay_failures = 20
        draft.audience_frozen_at = datetime.now(UTC) if status is CampaignStatus.SENDING else None
        session.commit()
        campaigns.pause_campaign(session, panel.id, draft.id)
        assert (draft.status, draft.status_reason) == (CampaignStatus.PAUSED, "user")
        campaigns.resume_campaign(session, panel.id, draft.id)
        assert (draft.status, draft.status_reason, draft.relay_failures) == (status, None, 0)

    def test_what_does_not_run_is_not_paused(self, session, panel, draft):
        for status in set(CampaignStatus) - {CampaignStatus.PREPARING, CampaignStatus.SENDING}:
            arrange(session)
            draft.status = status
            session.commit()
            with pytest.raises(CampaignProblem) as refused:
                campaigns.pause_campaign(session, panel.id, draft.id)
            assert refused.value.details["status"] is status

    def test_resume_is_only_for_paused_campaigns(self, session, panel, draft):
        # Preparing may become sending by itself; a person who resumes must not push it there.
        for status in set(CampaignStatus) - {CampaignStatus.PAUSED}:
            arrange(session)
            draft.status, draft.audience_frozen_at = status, datetime.now(UTC)
            session.commit()
            with pytest.raises(CampaignProblem, match="wrong_status"):
                campaigns.resume_campaign(session, panel.id, draft.id)

    def test_status_moves_agree_with_the_transition_table(self, session, settings, panel, draft):
        """Each verb, from each status: it works where the table allows the move, and leaves the rest alone."""
        verbs = {
            CampaignStatus.PAUSED: campaigns.pause_campaign,
            CampaignStatus.CANCELLED: campaigns.cancel_campaign,
            CampaignStatus.DRAFT: campaigns.unschedule_campaign,
        }
        for wanted, verb in verbs.items():
            for status in CampaignStatus:
                arrange(session)
                draft.status = status
                session.commit()
                try:
                    verb(session, panel.id, draft.id)
                except CampaignProblem:
                    session.expire_all()
                    assert draft.status is status
                else:
                    assert draft.status is check_transition(CAMPAIGN_TRANSITIONS, status, wanted)
        with pytest.raises(IllegalTransition):
            check_transition(CAMPAIGN_TRANSITIONS, CampaignStatus.FINISHED, CampaignStatus.SENDING)

    def test_another_panels_campaign_is_not_found(self, session, settings, draft, other_panel):
        arrange(session)
        draft.status = CampaignStatus.SENDING
        session.commit()
        for verb in (
            campaigns.pause_campaign,
            campaigns.resume_campaign,
            campaigns.cancel_campaign,
            campaigns.unschedule_campaign,
            campaigns.delete_draft,
        ):
            with pytest.raises(CampaignProblem, match="not_found"):
                verb(session, other_panel.id, draft.id)
        with pytest.raises(CampaignProblem, match="not_found"):
            campaigns.schedule_campaign(session, settings, other_panel.id, draft.id)
        with pytest.raises(CampaignProblem, match="not_found"):
            campaigns.save_campaign(session, settings, other_panel.id, draft.id, written())
        with pytest.raises(CampaignProblem, match="not_found"):
            campaigns.duplicate_campaign(session, other_panel.id, draft.id, name="x")
        session.expire_all()
        assert draft.status is CampaignStatus.SENDING


class TestCancelling:
    STATUSES = ("planned", "deferred", "accepted", "bounced", "skipped:suppressed", "planned", "failed", "planned")

    def test_everybody_not_reached_yet_is_skipped_and_counted(self, session, panel, draft):
        ledger.freeze(session, draft, list(self.STATUSES))
        assert campaigns.cancel_campaign(session, panel.id, draft.id) == 4
        assert ledger.statuses_of(session, draft) == {
            1: "skipped:cancelled",
            2: "skipped:cancelled",
            3: "accepted",
            4: "bounced",
            5: "skipped:suppressed",
            6: "skipped:cancelled",
            7: "failed",
            8: "skipped:cancelled",
        }
        now = reports.counts(session, draft.id)
        assert (now.planned, now.accepted, now.bounced, now.failed, now.skipped) == (8, 1, 1, 1, 5)
        assert now.open == 0
        assert draft.status is CampaignStatus.CANCELLED
        assert draft.finished_at
        assert set(session.scalars(select(Batch.status))) == {BatchStatus.DONE}

    def test_what_is_on_the_wire_or_unknown_is_left_for_its_outcome(self, session, panel, draft):
        ledger.freeze(session, draft, ["sending", "unknown", "planned"])
        campaigns.cancel_campaign(session, panel.id, draft.id)
        assert ledger.statuses_of(session, draft) == {1: "sending", 2: "unknown", 3: "skipped:cancelled"}
        assert session.scalar(select(Batch.status)) is BatchStatus.READY

    def test_batch_that_a_worker_holds_is_settled_when_it_lets_go(self, session, panel, draft):
        from app.flow import cancelling

        ledger.freeze(session, draft, ["sending", "planned", "planned", "planned", "planned"])
        session.execute(text("UPDATE batch SET status = 'claimed', claim = 1 WHERE first_seq = 1"))
        session.commit()
        assert campaigns.cancel_campaign(session, panel.id, draft.id) == 1
        assert reports.counts(session, draft.id).waiting == 4
        # The worker hears "try later" for the one on the wire, writes it down and lets the batch go.
        session.execute(text("UPDATE delivery SET status = 'deferred', next_attempt_at = now() WHERE seq = 1"))
        session.execute(text("UPDATE batch SET status = 'ready', sending = 0, deferred = 1 WHERE first_seq = 1"))
        session.commit()
        assert cancelling.skip_remaining(session) == 4
        now = reports.counts(session, draft.id)
        assert (now.planned, now.skipped, now.open) == (5, 5, 0)
        assert cancelling.skip_remaining(session) == 0

    def test_the_sweep_touches_no_campaign_that_is_not_cancelled(self, session, panel, draft):
        from app.flow import cancelling

        for status in set(CampaignStatus) - {CampaignStatus.CANCELLED}:
            arrange(session)
            draft.status = status
            session.commit()
            if not session.scalar(select(Batch.id)):
                ledger.freeze(session, draft, ["planned", "deferred"], status=status)
            assert cancelling.skip_remaining(session) == 0

    def test_scheduled_campaign_is_cancelled_without_a_ledger(self, session, settings, panel, draft):
        campaigns.schedule_campaign(session, settings, panel.id, draft.id, at=datetime.now(UTC) + timedelta(days=1))
        assert campaigns.cancel_campaign(session, panel.id, draft.id) == 0
        assert draft.status is CampaignStatus.CANCELLED


class TestRaces:
    """Two sessions at once, released by a barrier: one wins, the other is told, and the row shows one winner."""

    @staticmethod
    def at_once(*verbs):
        barrier, engine = Barrier(len(verbs)), db.engine

        def run(verb):
            with Session(engine) as own:
                barrier.wait(timeout=10)
                try:
                    verb(own)
                except CampaignProblem as problem:
                    return problem.code
                return "done"

        with ThreadPoolExecutor(len(verbs)) as pool:
            return [future.result(timeout=30) for future in [pool.submit(run, verb) for verb in verbs]]

    def test_two_people_schedule_at_once(self, session, settings, app, panel, draft):
        panel_id, campaign_id = panel.id, draft.id

        def schedule(own):
            campaigns.schedule_campaign(own, settings, panel_id, campaign_id)

        for _round in range(5):
            arrange(session)
            draft.status = CampaignStatus.DRAFT
            session.commit()
            assert sorted(self.at_once(schedule, schedule)) == ["done", "wrong_status"]

    def test_pause_and_cancel_at_once_end_cancelled(self, session, app, panel, draft):
        panel_id, campaign_id = panel.id, draft.id
        ledger.freeze(session, draft, ["planned"] * 20)
        for _round in range(5):
            arrange(session)
            session.execute(text("UPDATE campaign SET status = 'sending'"))
            session.commit()
            results = self.at_once(
                lambda own: campaigns.pause_campaign(own, panel_id, campaign_id),
                lambda own: campaigns.cancel_campaign(own, panel_id, campaign_id),
            )
            assert results[1] == "done"
            assert results[0] in ("done", "wrong_status")
            session.expire_all()
            assert draft.status is CampaignStatus.CANCELLED

    def test_saving_and_scheduling_at_once_never_sends_unchecked_content(self, session, settings, app, panel, draft):
        """Either the save came first and is what is scheduled, or it is refused: no third way."""
        panel_id, campaign_id = panel.id, draft.id
        for number in range(5):
            arrange(session)
            session.execute(text("UPDATE campaign SET status = 'draft', name = 'antes'"))
            session.commit()
            lists = tuple(row.id for row in draft.lists)
            session.rollback()
            content = written(name=f"después {number}", list_ids=lists)
            saved, scheduled = self.at_once(
                lambda own, content=content: campaigns.save_campaign(own, settings, panel_id, campaign_id, content),
                lambda own: campaigns.schedule_campaign(own, settings, panel_id, campaign_id),
            )
            session.expire_all()
            assert scheduled == "done"
            assert draft.name == (f"después {number}" if saved == "done" else "antes")

    def test_two_cancellations_and_a_sweep_count_everybody_once(self, session, app, panel, draft):
        from app.flow import cancelling

        panel_id, campaign_id = panel.id, draft.id
        ledger.freeze(session, draft, ["planned"] * 300, batch_size=3)
        results = self.at_once(
            lambda own: campaigns.cancel_campaign(own, panel_id, campaign_id),
            lambda own: campaigns.cancel_campaign(own, panel_id, campaign_id),
            cancelling.skip_remaining,
            cancelling.skip_remaining,
        )
        assert sorted(results[:2]) == ["done", "wrong_status"]
        with Session(db.engine) as own:
            cancelling.skip_remaining(own)
        now = reports.counts(session, draft.id)
        assert (now.planned, now.skipped, now.open) == (300, 300, 0)
        assert set(ledger.statuses_of(session, draft).values()) == {"skipped:cancelled"}
