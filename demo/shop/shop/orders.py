"""Orders: placed once, with their lines and the stock they take."""

from shop import VERSION
from shop.pricing import Line, order_total


def place(cursor, number, customer, wanted):
    """Writes the order and takes its products out of stock.

    wanted: product id -> quantity. Products are locked in the order of their ids, so two orders never deadlock.
    """
    lines = [_take(cursor, product, quantity) for product, quantity in sorted(wanted.items())]
    total = order_total(lines)
    cursor.execute(
        "INSERT INTO orders (id, customer, total, placed_by) VALUES (%s, %s, %s, %s)",
        (number, customer, total, VERSION),
    )
    for line in lines:
        cursor.execute(
            "INSERT INTO order_lines (order_id, product_id, quantity, unit_price) VALUES (%s, %s, %s, %s)",
            (number, line.product_id, line.quantity, line.unit_price),
        )
    return {"id": number, "total": total}


def _take(cursor, product, quantity):
    cursor.execute(
        "UPDATE products SET stock = stock - %s WHERE id = %s RETURNING category, price",
        (quantity, product),
    )
    row = cursor.fetchone()
    if row is None:
        raise LookupError(f"no product {product}")
    category, price = row
    return Line(product, category, quantity, price)


def find(cursor, number):
    """The order, or None."""
    cursor.execute("SELECT customer, total FROM orders WHERE id = %s", (number,))
    row = cursor.fetchone()
    if row is None:
        return None
    customer, total = row
    return {"id": number, "customer": customer, "total": total}
