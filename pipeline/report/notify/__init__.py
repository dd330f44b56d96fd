"""Word of new and changed surges: one message a change, by e-mail and webhook."""

from pipeline.report.notify.ledger import Claim, MemoryLedger, NotificationLedger
from pipeline.report.notify.message import Message, messages_for
from pipeline.report.notify.send import Delivery, notify

__all__ = ["Claim", "Delivery", "MemoryLedger", "Message", "NotificationLedger", "messages_for", "notify"]
