"""How an agent gets its certificates: tokens that are good a few times (`tokens`), what is signed for whom (`desk`),
and the address where that is asked for (`server`)."""
