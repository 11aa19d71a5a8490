"""What is for sale."""


def products(cursor):
    cursor.execute("SELECT id, name, category, price FROM products ORDER BY id")
    return [
        {"id": number, "name": name, "category": category, "price": price}
        for number, name, category, price in cursor
    ]
