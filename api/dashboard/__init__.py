"""The dashboard: HTML pages over the same procedures that the platform's tRPC client calls.

Each page calls procedures in this process, with the caller's role, so a page can show and do what the API allows and
nothing else. Forms work without JavaScript; `static/page.js` submits them without a reload and keeps statuses live.
"""

from api.dashboard.routes import answer_unknown_page, dashboard_routes
from api.dashboard.sessions import sign_in_link

__all__ = ["answer_unknown_page", "dashboard_routes", "sign_in_link"]
