-- tokens that a speculative step is expected to yield: a tree with so many candidates at each depth, each accepted after its
-- parent with the same probability, whatever its siblings are; null for what is no probability
create or replace macro mart.expected_tree_tokens(acceptance_rate, tree) as
    -- the first depth is the token that is certain; a depth is reached if one of the candidates that follow the accepted one of
    -- the depth before, as many as there are on average, is accepted; without branches, it is mart.expected_tokens
    case
        when acceptance_rate between 0 and 1
            then
                1 + coalesce(list_sum(list_transform(
                    range(2, len(tree) + 1),
                    lambda depth: list_product(list_transform(
                        range(2, depth + 1),
                        lambda place: 1 - pow(1 - acceptance_rate, tree[place] / tree[place - 1])
                    ))
                )), 0)
    end;
