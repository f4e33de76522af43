"""The section ``profit`` of ``churn.yaml``: costs and values of a retention offer."""

from pydantic import Field, model_validator

from churn_store.settings import Section


class Profit(Section):
    """What a retention offer costs and brings, in the company's currency (Verbraken, Verbeke and Baesens 2013)."""

    customer_value: float = Field(200.0, gt=0, description="what a churner who stays after all is worth")
    offer_cost: float = Field(10.0, ge=0, description="of the offer, for each customer who takes it")
    contact_cost: float = Field(1.0, ge=0, description="of asking a customer")
    acceptance_alpha: float = Field(
        6.0, gt=1, description="share of churners who take the offer and stay: Beta(alpha, beta)"
    )
    acceptance_beta: float = Field(14.0, gt=1, description="the second parameter of that distribution")

    @property
    def acceptance(self) -> float:
        """The expected share of churners who take the offer and stay."""
        return self.acceptance_alpha / (self.acceptance_alpha + self.acceptance_beta)

    @model_validator(mode="after")
    def _an_offer_can_pay(self) -> "Profit":
        if self.acceptance * (self.customer_value - self.offer_cost) <= self.contact_cost:
            raise ValueError(
                f"no offer can pay: a certain churner brings {self.acceptance * (self.customer_value - self.offer_cost):g} and asking "
                f"costs {self.contact_cost:g}; look at customer_value, offer_cost, contact_cost and the acceptance"
            )
        return self
