"""The round: discover, acquire, count, record, judge, report; plain functions on top of the house."""
