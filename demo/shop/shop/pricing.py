"""What an order costs, in cents."""

from collections import namedtuple

Line = namedtuple("Line", "product_id category quantity unit_price")


def line_total(line):
    return line.quantity * line.unit_price


def order_total(lines):
    return sum(line_total(line) for line in lines)
