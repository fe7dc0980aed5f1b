"""Bills for tests of what a bill means: one provider per case, and the rules they are loaded with."""

import csv
import io
from decimal import Decimal

D = Decimal
SETTINGS = """
currency: USD
sources:
  - {name: bill, format: focus, path: "landing/bill/*.csv"}
  - {name: periods, format: focus_billing_period, path: "landing/periods/*.csv"}
  - {name: contracts, table: contract_commitments, path: "landing/contracts/*.csv"}
  - {name: versioned, format: focus, path: "landing/versioned/*.csv", partition: "(?P<partition>[a-z]+-[0-9-]+)_v(?P<version>[0-9]+)"}
"""


def line(provider, billed, effective, start, end, **columns):
    """One FOCUS line; billing period: the month of ``start`` unless given as ``month``."""
    month = columns.pop("month", start[:7])
    year, number = map(int, month.split("-"))
    following = f"{year + number // 12}-{number % 12 + 1:02}"
    return {
        "ProviderName": provider,
        "BilledCost": billed,
        "EffectiveCost": effective,
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{month}-01T00:00:00Z",
        "BillingPeriodEnd": f"{following}-01T00:00:00Z",
        "ChargePeriodStart": start + "Z",
        "ChargePeriodEnd": end + "Z",
        "ChargeCategory": "Usage",
    } | columns


def bill(*lines):
    names = list(dict.fromkeys(name for one in lines for name in one))
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


HOUR = ("2026-05-01T00:00:00", "2026-05-01T01:00:00")


def commitment(provider, billed, effective, status=None, period=HOUR, **columns):
    category = {} if status else {"ChargeCategory": "Purchase"}
    return line(
        provider, billed, effective, *period, CommitmentDiscountId="c-" + provider, CommitmentDiscountStatus=status, **category, **columns
    )


def day(number, month="2026-05"):
    return f"{month}-{number:02}T00:00:00", f"{month}-{number + 1:02}T00:00:00"


def term(provider, *purchases, used=30, unused=0, price="1.00", list_cost="1.50"):
    """A commitment over the first 30 days of May: purchases, and one line per day of usage or of nothing used."""
    lines = [commitment(provider, amount, 0, None, period, ChargeFrequency=often) for amount, period, often in purchases]
    lines += [commitment(provider, 0, price, "Used", day(n), ListCost=list_cost) for n in range(1, used + 1)]
    return lines + [commitment(provider, 0, price, "Unused", day(n)) for n in range(used + 1, used + unused + 1)]


MAY = ("2026-05-01T00:00:00", "2026-05-31T00:00:00")
ALL_MAY = ("2026-05-01T00:00:00", "2026-06-01T00:00:00")
BILLS = {
    # KA-10: 1 $/h, an hour used wholly, not at all, by three quarters, and beyond
    "ka10": [
        *(commitment(p, 1, 0, ChargeFrequency="Recurring") for p in ("all", "none", "most", "over")),
        commitment("all", 0, "1.00", "Used"),
        commitment("none", 0, "1.00", "Unused"),
        commitment("most", 0, "0.75", "Used"),
        commitment("most", 0, "0.25", "Unused"),
        commitment("over", 0, "1.00", "Used"),
        line("over", "0.50", "0.50", *HOUR, PricingCategory="Standard"),
    ],
    # KA-11: 52.40 $/h for a year, all upfront; one day of it, 18 hours used
    "ka11": [
        commitment("plan", 459024, 0, None, ("2026-01-01T00:00:00", "2027-01-01T00:00:00"), ChargeFrequency="One-Time", month="2026-05"),
        *(commitment("plan", 0, "52.40", "Used", (f"2026-05-02T{h:02}:00:00", f"2026-05-02T{h:02}:59:59.999999")) for h in range(18)),
        *(commitment("plan", 0, "52.40", "Unused", (f"2026-05-02T{h:02}:00:00", f"2026-05-02T{h:02}:59:59.999999")) for h in range(18, 24)),
    ],
    "terms": [
        *term("all_upfront", (30, MAY, "One-Time"), used=24, unused=6),
        *term("partial_upfront", (15, MAY, "One-Time"), *((D("0.5"), day(n), "Recurring") for n in range(1, 31))),
        *term("no_upfront", *((1, day(n), "Recurring") for n in range(1, 31)), used=20, unused=10),
        *term("not_settled", (31, MAY, "One-Time")),
        # size-flexible: one large counts for two small; the quantity is in the commitment's own unit
        commitment("flexible", 4, 0, None, day(1), ChargeFrequency="Recurring", CommitmentDiscountQuantity=4),
        commitment("flexible", 0, 2, "Used", day(1), CommitmentDiscountQuantity=2, ListCost=3, ConsumedQuantity=1),
        commitment("flexible", 0, 1, "Used", day(1), CommitmentDiscountQuantity=1, ListCost="1.5", ConsumedQuantity=1),
        commitment("flexible", 0, 1, "Unused", day(1), CommitmentDiscountQuantity=1),
    ],
    "reservation": [
        line("room", 8, 8, *day(1), CapacityReservationId="cr-1", CapacityReservationStatus="Used", Tags='{"team": "red"}'),
        line("room", 4, 4, *day(1), CapacityReservationId="cr-1", CapacityReservationStatus="Unused", Tags='{"team": "red"}'),
    ],
    # KA-12 as a delta and as a ledger
    **{
        f"ka12_{way}": [
            line(way, 1500, 1500, *ALL_MAY, ResourceId="R-111", ConsumedQuantity=1000),
            *(
                line(way, cost, cost, *ALL_MAY, month="2026-06", ResourceId=resource, ChargeClass="Correction")
                for cost, resource in corrections
            ),
        ]
        for way, corrections in {
            "delta": [(-300, "R-111"), (300, "R-222")],
            "ledger": [(-1500, "R-111"), (1200, "R-111"), (300, "R-222")],
        }.items()
    },
    # KA-17: tokens paid ahead
    "ka17": [
        line("prepaid", 500000, 0, "2026-05-01T00:00:00", "2027-05-01T00:00:00", ChargeCategory="Purchase", ListCost=500000),
        line("prepaid", 0, "20.00", *ALL_MAY, ListCost="25.00", ContractedCost="20.00"),
        line("prepaid", 0, "30.00", *ALL_MAY, ListCost="37.50", ContractedCost="30.00"),
    ],
    "virtual_currency": [
        line(
            "credits",
            0,
            "615.00",
            *day(3),
            ListCost="1230.00",
            PricingCurrency="Credits",
            PricingQuantity="1230",
            PricingCurrencyListUnitPrice="1",
            PricingCurrencyContractedUnitPrice="0.5",
            PricingCurrencyEffectiveCost="615",
        ),
        line("credits", "7.5", "7.5", *day(3), PricingCurrency="USD"),
    ],
    "euros": [
        line("euro", 100, 100, *ALL_MAY, BillingCurrency="EUR", ListCost=200),
        line("euro", 100, 100, "2026-06-01T00:00:00", "2026-07-01T00:00:00", BillingCurrency="EUR"),
        # a correction of May on June's bill is converted like the rest of June's bill
        line("euro", -10, -10, *ALL_MAY, BillingCurrency="EUR", month="2026-06", ChargeClass="Correction"),
    ],
    "odds": [
        line("odds", "0.333333333333333333", "0.333333333333333333", *day(4)),
        line("odds", "-20.00", "-20.00", *day(5), ChargeCategory="Credit"),
        line("odds", "-5.00", "-5.00", *day(5), ChargeCategory="Adjustment", ChargeDescription="Refund"),
        line("odds", "19.00", "19.00", *ALL_MAY, ChargeCategory="Tax"),
        line("odds", "31.00", "31.00", *ALL_MAY, ServiceName="Support", Tags='{"team": "blue"}'),
    ],
    "contracts": [
        line("macc", 100, 100, *day(7)),
        line(
            "macc",
            50,
            50,
            *day(8),
            ContractApplied='{"Elements": [{"ContractId": "K", "ContractCommitmentId": "named",'
            ' "ContractCommitmentAppliedCost": 30, "ContractCommitmentAppliedQuantity": 3}]}',
        ),
        line("macc", 7, 7, *day(9), ChargeCategory="Tax"),
    ],
    "twice": [
        line(
            provider,
            amount,
            amount,
            *day(7),
            ContractApplied=f'{{"Elements": [{{"ContractCommitmentId": "twice", "ContractCommitmentAppliedCost": {amount}}}]}}',
        )
        for provider, amount in (("first", 100), ("second", 200))
    ]
    + [line("roaming", 70, 70, *day(7))],
    # words as other versions and vendors write them
    "words": [
        commitment("terse", 100, 0, None, MAY, ChargeFrequency="One-Time"),
        commitment("terse", 0, 60, "used", MAY, ListCost=90, PricingCategory="Commitment-Based"),
        commitment("terse", 0, 40, "UNUSED", MAY),
        line("terse", 90, 90, *day(7), ListCost=90, PricingCategory="On-Demand"),
    ],
    # 200 EUR paid in May at 1.10, drawn in May and in June at 1.20; and usage billed in part
    "moving": [
        commitment(
            "moving", 200, 0, None, ("2026-05-01T00:00:00", "2026-06-15T00:00:00"), ChargeFrequency="One-Time", BillingCurrency="EUR"
        ),
        commitment("moving", 0, 100, "Used", day(7), BillingCurrency="EUR"),
        commitment("moving", 0, 100, "Used", day(7, "2026-06"), BillingCurrency="EUR"),
        line("partly", 100, 0, *day(1), ChargeCategory="Purchase"),
        line("partly", 60, 100, *day(2)),
        line("partly", "0.6", 1, *day(3)),
    ],
    # a rate of 15 decimals, an amount beyond ten digits, and a billing period that starts within a month
    "rates": [
        line("dong", 1000000000, 1000000000, *day(8), BillingCurrency="VND"),
        line("dong", 12000000000, 12000000000, *day(9), BillingCurrency="VND"),
        line(
            "franc",
            100,
            100,
            *day(20),
            BillingCurrency="CHF",
            BillingPeriodStart="2026-05-15T00:00:00Z",
            BillingPeriodEnd="2026-06-15T00:00:00Z",
        ),
        # June began at midnight in Berlin
        line("berlin", 10, 10, *day(1, "2026-06"), BillingCurrency="EUR", BillingPeriodStart="2026-06-01T00:00:00+02:00"),
        line(
            "tokens",
            0,
            10,
            *day(8),
            PricingCurrency="EUR",
            PricingQuantity="20000000000",
            PricingCurrencyListUnitPrice="0.0000000005",
            PricingCurrencyEffectiveCost=8,
        ),
    ],
    "invoiced": [
        line("invoiced", 5, 5, *day(10), InvoiceId="INV-5"),
        line("invoiced", 6, 6, *day(10, "2026-06"), InvoiceId="INV-6"),
        line("invoiced", 7, 7, *day(11, "2026-06")),
        line("stated", 8, 8, *day(10)),
    ],
    "rules": [
        line("law", 40, 40, *day(6), ServiceName="Key Vault", Tags='{"team": "red", "Environment": "Prod"}'),
        line("law", 60, 60, *day(6), ServiceName="Compute", Tags='{"TEAM": "Red", "environment": "production"}'),
        line("law", 10, 10, *day(6), ServiceName="Compute", SubAccountId="sandbox-7"),
        # a month of one resource that changes hands on the 16th
        line("hands", 31, 31, *ALL_MAY, ResourceId="db-1"),
    ],
}
CONFIG = {
    "config/exchange_rates.csv": "from_currency,to_currency,rate,valid_from,valid_to\n"
    "EUR,USD,1.10,2026-05-01,2026-06-01\nEUR,USD,1.20,2026-06-01,\nVND,USD,0.000039412345678,,\n"
    "CHF,USD,1.20,,2026-05-15\nCHF,USD,1.30,2026-05-15,\n",
    "config/owners.csv": "rule_id,priority,field,pattern,team,valid_from,valid_to\n"
    "tag,10,tag:team,*,{value},,\nsandbox,20,sub_account_id,sandbox-*,green,,\n"
    "db-red,20,resource_id,db-1,red,,2026-05-16\ndb-blue,20,resource_id,db-1,blue,2026-05-16,\n",
    "config/virtual_tags.csv": "rule_id,priority,field,pattern,tag,value,valid_from,valid_to\n"
    "env-prod,10,tag:environment,[Pp]rod*,environment,production,,\nenv-sandbox,20,sub_account_id,sandbox-*,environment,sandbox,,\n"
    "keys,10,service_name,Key Vault,component,compliance: encryption,,\n",
    "landing/contracts/a.csv": "contract_id,commitment_id,commitment_category,commitment_started_at,commitment_ended_at,commitment_cost,"
    "billing_currency,provider,applicability,updated_at\n"
    'K,total,Spend,2026-01-01,2027-01-01,900,USD,macc,"{""IsGlobalScope"": true}",2026-01-02\n'
    # stated again, larger
    'K,total,Spend,2026-01-01,2027-01-01,1000,USD,macc,"{""IsGlobalScope"": true}",2026-05-02\n'
    "L,c-no_upfront,Usage,2026-05-01,2026-05-31,30,USD,no_upfront,,\n"
    # the same id at two providers: each has its own lines, and no other's
    "M,twice,Usage,2026-01-01,2030-01-01,500,USD,first,,\nM,twice,Usage,2026-01-01,2030-01-01,500,USD,second,,\n"
    "M,c-terse,Usage,2026-01-01,2030-01-01,500,USD,another,,\n"
    # without a currency it is in the reporting currency
    'N,plain,Spend,2026-01-01,2027-01-01,900,,roaming,"{""IsGlobalScope"": true}",\n'
    "K,named,Usage,2026-01-01,2027-01-01,60,USD,macc,,\nK,silent,Usage,2026-01-01,2027-01-01,60,USD,macc,,\n",
    "landing/periods/a.csv": "InvoiceIssuerName,BillingPeriodStart,BillingPeriodEnd,BillingPeriodStatus,BillingPeriodLastUpdated\n"
    "stated,2026-05-01,2026-06-01,Open,2026-05-02T00:00:00Z\nstated,2026-05-01,2026-06-01,Closed,2026-06-05T00:00:00Z\n",
    "config/required_tags.csv": "tag,valid_from,valid_to\nenvironment,,\n",
}
