import pandas as pd


def add_totals(source: str, target: str) -> None:
    orders = pd.read_csv(source)
    orders["total"] = orders["price"] * orders["count"]
    orders.to_csv(target, index=False)


if __name__ == "__main__":
    add_totals("domo://orders.csv", "domo://reports/totals.csv")
