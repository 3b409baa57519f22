"""The webhook by which MLflow wakes the services, where there is one."""

from bentos.cli.doctor.findings import Chain, Found, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.cli.webhook import SECRET, trouble
from bentos.registry.address import without_password
from bentos.registry.webhooks import PATH, Webhooks

INSTALL = "ascenso webhook install"


def webhook(ground: Ground) -> Found:
    """An example arrives. None is needed: the services look by themselves."""
    webhooks = Webhooks(ground.registry)
    url = ground.services.removesuffix(PATH) + PATH
    installed, shown = webhooks.to(url), without_password(url)
    if not installed:
        seconds = ground.settings.registry.poll_seconds
        return ok(f"none goes to {shown}; the services look every {seconds:g} s")
    if not ground.known(SECRET):
        return warning(f"one goes to {shown}, and {SECRET} is not set", f"set it; {INSTALL}")
    delivery = webhooks.test(installed[0])
    if not delivery.success:
        return warning(f"an example does not arrive at {shown}", trouble(delivery))
    return ok(f"an example arrives at {shown}")


CHAINS: tuple[Chain, ...] = ((webhook,),)
