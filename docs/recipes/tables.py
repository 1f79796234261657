import pandas as pd


def add_totals(source: str, target: str) -> None:
    orders = pd.read_csv(
        source
    )  # such as "domo://401", "domo://401@430" or "domo://orders.csv"
    orders["total"] = orders["price"] * orders["count"]
    orders.to_csv(target, index=False)  # such as "domo://reports/totals.csv"
