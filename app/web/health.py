"""``/healthz``: for supervisors and load balancers."""

from flask import Blueprint, Response, jsonify
from sqlalchemy import text

from app.extensions import db

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 where the database answers; an error page (500) otherwise."""
    db.session.execute(text("SELECT 1"))
    return jsonify(status="ok")
