"""The page of an audit, as HTML."""

from bitveil.audits.page.html import html_report

__all__ = ["html_report"]
