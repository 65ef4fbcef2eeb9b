extension CalibrationText {
    static let loops = [
        "Write a function in JavaScript that groups an array of objects by a key.",
        """
        Here is one that works for any key:

        ```javascript
        function groupBy(items, key) {
          const groups = new Map();
          for (const item of items) {
            const value = item[key];
            if (!groups.has(value)) groups.set(value, []);
            groups.get(value).push(item);
          }
          return groups;
        }

        const people = [
          { name: "Ada", city: "Paris" },
          { name: "Ben", city: "Oslo" },
          { name: "Cleo", city: "Paris" },
        ];
        console.log(groupBy(people, "city").get("Paris").length); // 2
        ```

        It returns a `Map` instead of a plain object, so that keys keep their type and their order.
        """,
        "Why not use reduce?",
        """
        You could. `reduce` would be shorter, but a loop is easier to read and to debug, and it does not copy the \
        accumulator. Both take time in proportion to the number of items.
        """,
    ]

    static let french = """
        La petite librairie de la rue des Tanneurs ouvrait à dix heures, sauf le lundi. On y trouvait de tout : des \
        romans oubliés, des cartes anciennes, parfois une lettre glissée entre deux pages. Madame Lefèvre \
        connaissait chaque livre et prétendait qu'ils choisissaient eux-mêmes leurs lecteurs. Un jour, elle m'a \
        donné un recueil de poèmes sans rien demander en échange. « Vous me direz ce que vous en pensez », a-t-elle \
        dit simplement.

        """

    static let speed = """
        Theorem. There are infinitely many primes. Proof. Suppose that p_1, ..., p_n were all of them, and let \
        N = p_1 p_2 ... p_n + 1. N is larger than 1, so some prime q divides it. If q were one of the p_i, it would \
        divide both N and the product, hence their difference 1, which is impossible. So q is a prime that is not \
        in the list, a contradiction.

        Example. A car brakes from 72 km/h to a stop in 40 m. With v = 20 m/s and v^2 = 2as we get \
        a = 400 / 80 = 5 m/s^2, and the time is t = v / a = 4 s. At twice the speed the distance would be four \
        times as long: 160 m.

        | n | n^2 | 2^n | n! |
        |---|-----|-----|----|
        | 1 | 1 | 2 | 1 |
        | 2 | 4 | 4 | 2 |
        | 3 | 9 | 8 | 6 |
        | 4 | 16 | 16 | 24 |
        | 5 | 25 | 32 | 120 |

        """

    static let russian = """
        Утром в деревне было тихо, только где-то далеко лаяла собака. Бабушка уже затопила печь и поставила чайник. \
        Мы собирались в лес за грибами, и я искал свою старую корзину. «Не торопись, — сказала она, — грибы никуда \
        не убегут, а вот завтрак остынет». Дорога шла через поле, потом вдоль реки, и солнце медленно поднималось \
        над туманом.

        """

    static let letter = """
        Dear Mr Okafor,

        Thank you for your letter of 3 March about the damaged shipment. We are sorry for the trouble. According to \
        our records, four of the twelve boxes left the warehouse on 24 February and the remaining eight on the \
        26th; the carrier reports that the second lorry was held at the border for two days. We have ordered \
        replacements for the broken glasses at our own cost, and they should reach you by Wednesday, 19 March. \
        Please keep the damaged items until our insurer has seen the photographs. If you would rather have a \
        refund, simply reply to this message and we will return the full amount of £318.40 within five working days.

        Yours sincerely,
        Helen Marsh
        Customer Care

        """

    static let query = """
        -- Customers who ordered in every month of last year, with what they spent.
        SELECT c.id, c.name, SUM(o.total) AS spent
        FROM customers AS c
        JOIN orders AS o ON o.customer_id = c.id
        WHERE o.placed_at >= DATE '2023-01-01' AND o.placed_at < DATE '2024-01-01'
        GROUP BY c.id, c.name
        HAVING COUNT(DISTINCT EXTRACT(MONTH FROM o.placed_at)) = 12
        ORDER BY spent DESC
        LIMIT 20;

        #include <stdio.h>
        #include <stdlib.h>

        /* Reads numbers, one a line, and prints their mean. */
        int main(void) {
            double sum = 0, value;
            size_t count = 0;
            while (scanf("%lf", &value) == 1) {
                sum += value;
                count++;
            }
            if (count == 0) {
                fprintf(stderr, "no numbers\\n");
                return EXIT_FAILURE;
            }
            printf("%.6f\\n", sum / (double)count);
            return EXIT_SUCCESS;
        }

        """

    static let sleep = [
        "I can't sleep lately. I lie awake until two and I'm exhausted at work.",
        """
        I'm sorry, that sounds wearing. A few habits help many people: get up at the same time every day, even \
        after a bad night; keep the last hour free of screens and work; and if you have been awake for about twenty \
        minutes, get up and read something dull until you feel sleepy. Coffee after noon can matter more than one \
        thinks. Has anything changed recently, such as stress, medicine or a new schedule? If it goes on for more \
        than a few weeks, please talk to a doctor.
        """,
        "Work has been stressful. Summarise that in one sentence I can stick on my fridge.",
        "Same hour up, no screens late, no coffee after noon, and leave the bed when sleep won't come.",
    ]

    static let spanish = """
        Cuando terminó la fiesta, los niños ya dormían sobre los abrigos. Mi tía recogía los vasos y cantaba en voz \
        baja una canción que nadie más recordaba. ¿De dónde la había sacado? Según ella, de su abuela, que había \
        cruzado el océano con una maleta y tres hijos. Afuera empezaba a amanecer y el panadero de la esquina abría \
        la puerta de su tienda.

        O mercado fica aberto até as seis da tarde, mas os melhores peixes acabam cedo. Quem chega depois das nove \
        encontra apenas sardinhas e conversa, e às vezes a conversa vale mais.

        """

    static let japanese = """
        駅前の小さな喫茶店は、朝の七時から開いている。店主は無口な人だが、常連の好みは全部覚えている。雨の日にはいつもより静かな音楽が流れ、\
        窓際の席から通りを歩く人々の傘が見える。ある日、隣に座った学生が古い時計の直し方を尋ねると、店主は初めて長い話をした。

        """

    static let election = """
        The council voted on Tuesday to close the old bridge to cars from next spring. Seven members were in favour, \
        four against, and two abstained. The engineer's report, published in May, found that the northern arch had \
        sunk by 14 mm since 2015 and that repairs would cost between $2.1 and $2.6 million. Shopkeepers on the east \
        bank fear for their trade. "People will not walk half a mile with their shopping," said Daniel Reyes, who \
        has run a hardware store there since 1988. The mayor promised a free bus every ten minutes and a review after \
        one year. Cyclists, who have asked for such a decision since the accident in 2019, welcomed it. A new bridge \
        is planned, but nobody expects it before 2031.

        """

    static let primes = [
        "Is 221 a prime number? Explain step by step.",
        """
        No. To test it, divide by the primes up to the square root of 221, which is a little less than 15: 2, 3, 5, \
        7, 11 and 13.

        - 221 is odd, so 2 does not divide it.
        - 2 + 2 + 1 = 5, which is not a multiple of 3.
        - It does not end in 0 or 5.
        - 7 × 31 = 217, remainder 4.
        - 11 × 20 = 220, remainder 1.
        - 13 × 17 = 221, remainder 0.

        So 221 = 13 × 17 is composite.
        """,
    ]

    static let settings = """
        {
          "name": "weather-station",
          "interval_seconds": 300,
          "sensors": [
            { "id": "t1", "kind": "temperature", "unit": "°C", "offset": -0.4 },
            { "id": "h1", "kind": "humidity", "unit": "%", "offset": 0 }
          ],
          "upload": { "url": "https://example.org/api/v2/readings", "retries": 3, "timeout": 10.5 },
          "enabled": true
        }

        2024-11-03 06:12:44 INFO  station: t1 = 7.8 °C, h1 = 91 %
        2024-11-03 06:17:44 WARN  upload: no answer within 10.5 s, trying again (1 of 3)
        2024-11-03 06:17:56 INFO  upload: 2 readings sent, HTTP 201

        The old woman shut the gate, hung the key on its nail, and went in without looking back. What followed is \
        told differently in each of the villages along the river, but all of them agree about the storm.
        """
}
